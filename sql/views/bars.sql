-- Closed bars of every series as this snapshot holds them.
-- grain: one bar of one series
-- reads: Parquet files of the table bars
-- parameters: $files, a list of absolute paths
create view bars as
select
    exchange,
    category,
    symbol,
    interval,
    open_time,
    open,
    high,
    low,
    close,
    volume,
    turnover,
    source,
    fetched_at,
    revision
from read_parquet(
    $files,
    hive_partitioning = true,
    hive_types = { 'exchange': varchar, 'category': varchar, 'symbol': varchar, 'interval': varchar }
)
