-- Votes of the council, while no run has voted.
-- grain: one feature in one run
-- reads: nothing
-- parameters: none
create view council_votes as
select
    null::varchar as run_id,
    null::varchar as feature,
    null::varchar as base,
    null::bigint as lag,
    null::double as linear_score,
    null::bigint as linear_rank,
    null::double as forest_score,
    null::bigint as forest_rank,
    null::double as mutual_score,
    null::bigint as mutual_rank,
    null::double as anova_f,
    null::double as mean_rank,
    null::bigint as count_votes,
    null::boolean as is_kept,
    null::boolean as is_selected
where false
