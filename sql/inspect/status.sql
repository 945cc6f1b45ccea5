-- Each series at a glance: last bar and its age, bars, gaps, revisions and bytes.
-- grain: one series
-- reads: bars, intervals, gaps, revisions, files
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

holes as (
    select
        exchange,
        category,
        symbol,
        interval,
        count(*) as count_gaps,
        sum(count_missing) as count_missing
    from gaps
    group by all
),

restated as (
    select
        exchange,
        category,
        symbol,
        interval,
        count(*) as count_revisions
    from revisions
    group by all
),

sizes as (
    select
        exchange,
        category,
        symbol,
        interval,
        sum(n_bytes) as count_bytes
    from files
    where table_name in ('bars', 'features')
    group by all
)

select
    counted.exchange,
    counted.category,
    counted.symbol,
    counted.interval,
    counted.first_open_time,
    counted.last_open_time,
    (epoch_ms(now()) - epoch_ms(counted.last_open_time) - intervals.length_ms) / 3600000 as age_hours,
    counted.count_bars,
    coalesce(holes.count_gaps, 0) as count_gaps,
    coalesce(holes.count_missing, 0)::bigint as count_missing,
    coalesce(restated.count_revisions, 0) as count_revisions,
    coalesce(sizes.count_bytes, 0)::bigint as count_bytes
from counted
inner join intervals on counted.interval = intervals.interval_name
left join holes using (exchange, category, symbol, interval)
left join restated using (exchange, category, symbol, interval)
left join sizes using (exchange, category, symbol, interval)
order by counted.exchange, counted.category, counted.symbol, counted.interval
