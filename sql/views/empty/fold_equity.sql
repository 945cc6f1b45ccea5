-- Equity of walk-forwards bar by bar, while no run has been evaluated so.
-- grain: one judged bar in one run
-- reads: nothing
-- parameters: none
create view fold_equity as
select
    null::varchar as run_id,
    null::timestamptz as open_time,
    null::double as close,
    null::double as equity,
    null::double as gross,
    null::double as drawdown,
    null::double as position,
    null::double as buy_and_hold
where false
