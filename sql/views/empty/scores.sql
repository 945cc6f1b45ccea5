-- Scores of judged rows and their 95 % intervals, while no run has been judged.
-- grain: one score of one model in one run
-- reads: nothing
-- parameters: none
create view scores as
select
    null::varchar as run_id,
    null::varchar as model,
    null::varchar as score,
    null::double as value,
    null::double as low,
    null::double as high
where false
