-- A feature set, or its context, with the lags of each feature; DuckDB computes those that a query names.
-- grain: one bar of one series
-- reads: features.$base
-- parameters: $view and $base, quoted names; $lags, one lag() a column and lag
create view features.$view as
select
    *,
    $lags
from features.$base
window
    earlier_bars as (
        partition by exchange, category, symbol, interval
        order by open_time
    )
