-- Scores on surrogate markets, while no run has been evaluated so.
-- grain: one surrogate of one run
-- reads: nothing
-- parameters: none
create view noise_floor as
select
    null::varchar as run_id,
    null::varchar as kind,
    null::bigint as seed,
    null::bigint as n_training,
    null::timestamptz as training_first,
    null::timestamptz as training_last,
    null::bigint as n_judged,
    null::timestamptz as judged_first,
    null::timestamptz as judged_last,
    null::bigint as n_purged,
    null::bigint as n,
    null::double as n_effective,
    null::double as base_rate,
    null::double as threshold,
    null::double as long_share,
    null::double as precision,
    null::double as recall,
    null::double as pr_auc,
    null::double as roc_auc,
    null::double as brier,
    null::double as log_loss,
    null::double as calibration_slope,
    null::double as calibration_intercept,
    null::double as ece,
    null::double as volatility_pr_auc,
    null::double as volatility_roc_auc,
    null::bigint as n_trades,
    null::double as net_return,
    null::double as gross_return,
    null::double as sharpe,
    null::double as max_drawdown,
    null::double as exposure,
    null::double as hit_rate,
    null::double as buy_and_hold
where false
