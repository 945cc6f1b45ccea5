-- Losses of networks, epoch by epoch, while no run has trained any.
-- grain: one epoch of one fit in one run
-- reads: nothing
-- parameters: none
create view epochs as
select
    null::varchar as run_id,
    null::varchar as expert,
    null::varchar as fit,
    null::bigint as epoch,
    null::bigint as n_updates,
    null::double as loss,
    null::double as validation_loss
where false
