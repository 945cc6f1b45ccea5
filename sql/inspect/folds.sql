-- Walk-forward folds of the runs that have them, the newest run first.
-- grain: one fold of one run
-- reads: folds
-- parameters: none
select
    run_id,
    fold,
    judged_first,
    judged_last,
    n_training,
    n_judged,
    n_effective,
    base_rate,
    pr_auc,
    volatility_pr_auc,
    roc_auc,
    precision,
    recall,
    brier,
    log_loss,
    calibration_slope,
    n_trades,
    net_return,
    buy_and_hold
from folds
order by run_id desc, fold asc
