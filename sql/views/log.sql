-- Rows of a table that grows by whole files and belongs to no series, such as council_votes.
-- grain: as written
-- reads: Parquet files of the table $view
-- parameters: $view, its quoted name; $files, a list of absolute paths
create view $view as
select *
from read_parquet($files, union_by_name = true, hive_partitioning = false)
