-- Feature versions, newest first, with the rows and bytes that this snapshot holds of each.
-- grain: one feature version
-- reads: feature_versions, files
-- parameters: none
with stored as (
    select
        version,
        count(*) as count_files,
        sum(n_rows)::bigint as count_rows,
        sum(n_bytes)::bigint as count_bytes
    from files
    where table_name = 'features'
    group by version
)

select
    feature_versions.version,
    feature_versions.created_at,
    feature_versions.count_definitions,
    feature_versions.definition_hash,
    coalesce(stored.count_files, 0) as count_files,
    coalesce(stored.count_rows, 0) as count_rows,
    coalesce(stored.count_bytes, 0) as count_bytes
from feature_versions
left join stored on feature_versions.version = stored.version
order by feature_versions.created_at desc, feature_versions.version asc
