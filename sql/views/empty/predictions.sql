-- Out-of-sample predictions, while no run has made any.
-- grain: one bar of one series in one run
-- reads: nothing
-- parameters: none
create view predictions as
select
    null::varchar as run_id,
    null::varchar as exchange,
    null::varchar as category,
    null::varchar as symbol,
    null::varchar as interval,
    null::timestamptz as open_time,
    null::double as probability,
    null::double as label
where false
