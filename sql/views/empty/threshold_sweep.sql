-- What each threshold would have brought on training rows, while no run has tried any.
-- grain: one threshold in one run
-- reads: nothing
-- parameters: none
create view threshold_sweep as
select
    null::varchar as run_id,
    null::double as threshold,
    null::bigint as n_signals,
    null::bigint as n_trades,
    null::double as precision,
    null::double as recall,
    null::double as exposure,
    null::double as net_return,
    null::double as excess,
    null::double as sharpe,
    null::boolean as is_allowed,
    null::boolean as is_chosen
where false
