-- Funding rates; where a source restated one, its last answer.
-- grain: one funding of one symbol
-- reads: Parquet files of the table funding
-- parameters: $files, a list of absolute paths
create view funding as
select
    exchange,
    category,
    symbol,
    funding_time,
    rate,
    source,
    fetched_at
from read_parquet($files, hive_partitioning = false)
qualify
    row_number() over (
        partition by exchange, category, symbol, funding_time
        order by fetched_at desc
    ) = 1
