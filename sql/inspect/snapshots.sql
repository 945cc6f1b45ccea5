-- Snapshots that can still be read, newest first, with their tags.
-- grain: one snapshot
-- reads: snapshots, tags
-- parameters: none
with tagged as (
    select
        snapshot_id,
        string_agg(tag, ', ' order by tag) as tags
    from tags
    group by snapshot_id
)

select
    snapshots.snapshot_id,
    snapshots.committed_at,
    snapshots.message,
    tagged.tags
from snapshots
left join tagged on snapshots.snapshot_id = tagged.snapshot_id
order by snapshots.snapshot_id desc
