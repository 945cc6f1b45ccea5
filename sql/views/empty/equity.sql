-- Equity of the backtests bar by bar, while no run has made any.
-- grain: one judged bar in one run
-- reads: nothing
-- parameters: none
create view equity as
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
