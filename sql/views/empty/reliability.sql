-- How often it happened by how likely it was said to be, while no run has been judged.
-- grain: one bin of probabilities in one run
-- reads: nothing
-- parameters: none
create view reliability as
select
    null::varchar as run_id,
    null::double as mean_predicted,
    null::double as observed_rate,
    null::bigint as count
where false
