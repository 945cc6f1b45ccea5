-- Combinations of purged cross-validations, while no run has been evaluated so.
-- grain: one combination of one run
-- reads: nothing
-- parameters: none
create view combinations as
select
    null::varchar as run_id,
    null::varchar as blocks,
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
    null::double as volatility_roc_auc
where false
