-- Bars that a later answer of their source replaced, while no file holds any.
-- grain: one superseded bar
-- reads: nothing
-- parameters: none
create view revisions as
select
    null::timestamptz as open_time,
    null::double as open,
    null::double as high,
    null::double as low,
    null::double as close,
    null::double as volume,
    null::double as turnover,
    null::varchar as source,
    null::timestamptz as fetched_at,
    null::integer as revision,
    null::timestamptz as superseded_at,
    null::varchar as exchange,
    null::varchar as category,
    null::varchar as symbol,
    null::varchar as interval
where false
