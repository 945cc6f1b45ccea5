-- Trades of the backtests, while no run has made any.
-- grain: one position in one run
-- reads: nothing
-- parameters: none
create view trades as
select
    null::varchar as run_id,
    null::varchar as symbol,
    null::timestamptz as entry_time,
    null::timestamptz as exit_time,
    null::double as entry,
    null::double as exit,
    null::double as funding,
    null::double as net_return,
    null::varchar as reason
where false
