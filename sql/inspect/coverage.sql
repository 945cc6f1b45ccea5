-- Bars of each series: first, last, how many, and how many are missing between them.
-- grain: one series
-- reads: bars, intervals
-- parameters: none
with counted as (
    select
        exchange,
        category,
        symbol,
        interval,
        min(open_time) as first_open_time,
        max(open_time) as last_open_time,
        count(*) as count_bars
    from bars
    group by all
),

measured as (
    select
        counted.*,
        (epoch_ms(counted.last_open_time) - epoch_ms(counted.first_open_time)) // intervals.length_ms + 1
            as count_slots
    from counted
    inner join intervals on counted.interval = intervals.interval_name
)

select
    exchange,
    category,
    symbol,
    interval,
    first_open_time,
    last_open_time,
    count_bars,
    count_slots - count_bars as count_missing,
    count_bars / count_slots as share
from measured
order by exchange, category, symbol, interval
