-- What the pipelines of runs make of markets without any edge, beside what the runs themselves scored.
-- grain: one kind of surrogate of one run
-- reads: noise_floor, trials
-- parameters: none
with surrogates as (
    select
        run_id,
        kind,
        count(*) as count_markets,
        median(pr_auc / base_rate) as median_pr_auc_lift,
        quantile_cont(roc_auc, 0.95) as p95_roc_auc,
        median(net_return) as median_net_return,
        quantile_cont(net_return, 0.95) as p95_net_return
    from noise_floor
    group by run_id, kind
)

select
    surrogates.run_id,
    surrogates.kind,
    surrogates.count_markets,
    surrogates.median_pr_auc_lift,
    surrogates.p95_roc_auc,
    trials.net_return,
    surrogates.median_net_return,
    surrogates.p95_net_return
from surrogates
left join trials on surrogates.run_id = trials.run_id
order by surrogates.run_id desc, surrogates.kind asc
