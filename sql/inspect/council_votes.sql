-- The forty features that the council of the latest run ranks best.
-- grain: one feature of the latest run that voted
-- reads: council_votes, runs
-- parameters: none
with latest_run as (
    select max_by(runs.run_id, runs.created_at) as run_id
    from runs
    where runs.run_id in (select council_votes.run_id from council_votes)
)

select
    council_votes.feature,
    council_votes.count_votes,
    council_votes.mean_rank,
    council_votes.linear_rank,
    council_votes.forest_rank,
    council_votes.mutual_rank,
    council_votes.is_selected
from council_votes
inner join latest_run on council_votes.run_id = latest_run.run_id
order by council_votes.mean_rank asc, council_votes.feature asc
limit 40
