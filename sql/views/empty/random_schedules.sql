-- What the same trades brought at random times, while no run has made any.
-- grain: one random schedule in one run
-- reads: nothing
-- parameters: none
create view random_schedules as
select
    null::varchar as run_id,
    null::double as net_return
where false
