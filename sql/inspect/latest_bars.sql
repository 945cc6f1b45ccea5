-- The newest bar of each series.
-- grain: one series
-- reads: bars
-- parameters: none
with ranked as (
    select
        *,
        row_number() over (
            partition by exchange, category, symbol, interval
            order by open_time desc
        ) as age
    from bars
)

select
    exchange,
    category,
    symbol,
    interval,
    open_time,
    open,
    high,
    low,
    close,
    volume,
    turnover,
    source
from ranked
where age = 1
order by exchange, category, symbol, interval
