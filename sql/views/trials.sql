-- The trial ledger: every training with score and verdict; one of several series counts for each of them.
-- grain: one training run and series
-- reads: runs
-- parameters: none
create view trials as
with trained as (
    select
        run_id,
        created_at,
        table_state,
        card,
        case json_type(card, '/series')
            when 'ARRAY' then json_extract(card, '/series')::varchar[]
            else [json_extract_string(card, '/series')]
        end as all_series
    from runs
    where kind = 'train'
)

select
    run_id,
    created_at,
    unnest(all_series) as series,
    table_state,
    json_extract_string(card, '/verdict/answer') as verdict,
    json_extract(card, '/scores/mixture/pr_auc')::double as pr_auc,
    json_extract(card, '/scores/volatility only/pr_auc')::double as volatility_pr_auc,
    json_extract(card, '/verdict/performance/net_return')::double as net_return,
    json_extract(card, '/verdict/performance/sharpe')::double as sharpe,
    json_extract(card, '/verdict/p_adjusted')::double as p_adjusted,
    json_extract_string(card, '/hashes/predictions') as predictions_hash
from trained
