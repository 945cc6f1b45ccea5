-- Runs, newest first.
-- grain: one run
-- reads: runs
-- parameters: none
select
    run_id,
    kind,
    status,
    table_state,
    created_at,
    updated_at
from runs
order by created_at desc, run_id asc
