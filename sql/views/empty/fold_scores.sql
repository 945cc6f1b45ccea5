-- Scores of all folds joined, while no run has been evaluated so.
-- grain: one score of one model in one run
-- reads: nothing
-- parameters: none
create view fold_scores as
select
    null::varchar as run_id,
    null::varchar as model,
    null::varchar as score,
    null::double as value,
    null::double as low,
    null::double as high
where false
