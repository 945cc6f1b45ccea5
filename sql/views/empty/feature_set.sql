-- A feature set, while no version of it has rows.
-- grain: one bar of one series
-- reads: nothing
-- parameters: $view, its quoted name
create view features.$view as
select
    null::varchar as exchange,
    null::varchar as category,
    null::varchar as symbol,
    null::varchar as interval,
    null::timestamptz as open_time
where false
