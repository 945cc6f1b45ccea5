-- The trial ledger: every training with its score and verdict.
-- grain: one training run
-- reads: runs
-- parameters: none
create view trials as
select
    run_id,
    created_at,
    json_extract_string(card, '/series') as series,
    table_state,
    json_extract_string(card, '/verdict/answer') as verdict,
    json_extract(card, '/scores/mixture/pr_auc')::double as pr_auc,
    json_extract(card, '/scores/volatility only/pr_auc')::double as volatility_pr_auc,
    json_extract(card, '/verdict/performance/net_return')::double as net_return,
    json_extract(card, '/verdict/performance/sharpe')::double as sharpe,
    json_extract(card, '/verdict/p_adjusted')::double as p_adjusted,
    json_extract_string(card, '/hashes/predictions') as predictions_hash
from runs
where kind = 'train'
