-- Every training with its score and verdict, newest first.
-- grain: one training run and series
-- reads: trials
-- parameters: none
select
    run_id,
    series,
    verdict,
    net_return,
    sharpe,
    p_adjusted,
    pr_auc,
    volatility_pr_auc
from trials
order by created_at desc, run_id asc, series asc
