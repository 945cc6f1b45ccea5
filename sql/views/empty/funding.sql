-- Funding rates, while no file holds any.
-- grain: one funding of one symbol
-- reads: nothing
-- parameters: none
create view funding as
select
    null::varchar as exchange,
    null::varchar as category,
    null::varchar as symbol,
    null::timestamptz as funding_time,
    null::double as rate,
    null::varchar as source,
    null::timestamptz as fetched_at
where false
