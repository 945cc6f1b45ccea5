-- The same trades at multiples of the costs, while no run has made any.
-- grain: one factor in one run
-- reads: nothing
-- parameters: none
create view cost_sensitivity as
select
    null::varchar as run_id,
    null::double as factor,
    null::double as net_return,
    null::double as sharpe,
    null::double as hit_rate
where false
