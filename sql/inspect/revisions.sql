-- Bars that a later answer of their source replaced: what was known before, and what is now.
-- grain: one superseded bar
-- reads: revisions, bars
-- parameters: none
select
    revisions.exchange,
    revisions.category,
    revisions.symbol,
    revisions.interval,
    revisions.open_time,
    revisions.revision,
    revisions.close as close_before,
    bars.close as close_now,
    revisions.volume as volume_before,
    bars.volume as volume_now,
    revisions.source as source_before,
    bars.source as source_now,
    revisions.fetched_at as known_from,
    revisions.superseded_at as known_until
from revisions
inner join bars
    on
        revisions.exchange = bars.exchange
        and revisions.category = bars.category
        and revisions.symbol = bars.symbol
        and revisions.interval = bars.interval
        and revisions.open_time = bars.open_time
order by
    revisions.superseded_at desc,
    revisions.exchange asc,
    revisions.category asc,
    revisions.symbol asc,
    revisions.interval asc,
    revisions.open_time asc,
    revisions.revision desc
