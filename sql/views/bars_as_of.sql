-- Bars as they were known at an instant, as in: from bars_as_of(timestamptz '2024-05-01').
-- grain: one bar of one series
-- reads: bars, revisions
-- parameters: none
create macro bars_as_of(instant) as table
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
    from bars
    where fetched_at <= instant
    union all
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
    from revisions
    where fetched_at <= instant and superseded_at > instant
