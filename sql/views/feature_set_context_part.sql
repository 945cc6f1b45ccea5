-- One version of a feature set beside its own rows of a longer interval: the last closed by the row's close.
-- grain: one bar of one series of a shorter interval
-- reads: features.$version, intervals
-- parameters: $version, the quoted name of its view; $series, quoted quadruples; $context, a quoted interval;
--     $looked_up, one expression a feature over own and longer
with own as (
    select
        base.*,
        epoch_ms(base.open_time) + intervals.length_ms as _close_ms
    from features.$version as base
    inner join intervals on base.interval = intervals.interval_name
    where (base.exchange, base.category, base.symbol, base.interval) in ($series)  -- noqa: RF02
),

longer as (
    select
        base.*,
        epoch_ms(base.open_time) + intervals.length_ms as _close_ms
    from features.$version as base
    inner join intervals on base.interval = intervals.interval_name
    where base.interval = $context  -- noqa: RF02
)

select
    own.* exclude (_close_ms),  -- noqa: RF02
    $looked_up
from own
asof left join longer
    on
        own.exchange = longer.exchange
        and own.category = longer.category
        and own.symbol = longer.symbol
        and own._close_ms >= longer._close_ms
