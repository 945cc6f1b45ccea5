-- How far features have moved since training, while no run has been judged.
-- grain: one feature in one run
-- reads: nothing
-- parameters: none
create view drift as
select
    null::varchar as run_id,
    null::varchar as feature,
    null::double as psi,
    null::double as ks,
    null::double as mean_training,
    null::double as mean_judged,
    null::double as std_training
where false
