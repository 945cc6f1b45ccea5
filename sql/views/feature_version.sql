-- Base features of one version.
-- grain: one bar of one series
-- reads: Parquet files of the table features, one version
-- parameters: $view, its quoted name; $columns, quoted, of the version; $files, a list of absolute paths
create view features.$view as
select
    exchange,
    category,
    symbol,
    interval,
    $columns
from read_parquet(
    $files,
    hive_partitioning = true,
    hive_types = { 'exchange': varchar, 'category': varchar, 'symbol': varchar, 'interval': varchar }
)
