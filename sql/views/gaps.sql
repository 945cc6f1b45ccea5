-- Holes in the bars: slots of the grid between two stored bars that no bar fills.
-- grain: one hole of one series
-- reads: bars, intervals
-- parameters: none
create view gaps as
with neighbours as (
    select
        exchange,
        category,
        symbol,
        interval,
        open_time,
        lead(open_time) over (
            partition by exchange, category, symbol, interval order by open_time
        ) as next_open_time
    from bars
),

measured as (
    select
        neighbours.*,
        (epoch_ms(neighbours.next_open_time) - epoch_ms(neighbours.open_time)) // intervals.length_ms - 1
            as count_missing
    from neighbours
    inner join intervals on neighbours.interval = intervals.interval_name
)

select
    exchange,
    category,
    symbol,
    interval,
    open_time as after_open_time,
    next_open_time as before_open_time,
    count_missing
from measured
where count_missing > 0
