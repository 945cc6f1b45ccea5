-- What each visit to a source brought, newest first.
-- grain: one commit of one answer
-- reads: fetches
-- parameters: none
select
    exchange,
    category,
    symbol,
    interval,
    fetched_at,
    source,
    n_rows,
    n_added,
    n_revised,
    n_unchanged,
    n_quarantined,
    n_forming,
    snapshot_id
from fetches
order by fetched_at desc, snapshot_id desc, exchange asc, category asc, symbol asc, interval asc
