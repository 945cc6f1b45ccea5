-- Rows of a source that are not good bars, while no file holds any.
-- grain: one row of one source
-- reads: nothing
-- parameters: none
create view quarantine as
select
    null::timestamptz as open_time,
    null::double as open,
    null::double as high,
    null::double as low,
    null::double as close,
    null::double as volume,
    null::double as turnover,
    null::bigint as row,
    null::varchar as reason,
    null::varchar as source,
    null::varchar as exchange,
    null::varchar as category,
    null::varchar as symbol,
    null::varchar as interval
where false
