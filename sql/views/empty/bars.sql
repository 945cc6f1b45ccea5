-- Closed bars, while no file holds any.
-- grain: one bar of one series
-- reads: nothing
-- parameters: none
create view bars as
select
    null::varchar as exchange,
    null::varchar as category,
    null::varchar as symbol,
    null::varchar as interval,
    null::timestamptz as open_time,
    null::double as open,
    null::double as high,
    null::double as low,
    null::double as close,
    null::double as volume,
    null::double as turnover,
    null::varchar as source,
    null::timestamptz as fetched_at,
    null::integer as revision
where false
