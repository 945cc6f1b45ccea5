-- What the latest check of a series made of its holes.
-- grain: one run of missing bars with one verdict
-- reads: verdict_ranges, intervals
-- parameters: none
create view verdicts as
with placed as (
    select
        verdict_ranges.*,
        intervals.anchor_ms + verdict_ranges.start_bar * intervals.length_ms as first_ms,
        intervals.anchor_ms + (verdict_ranges.stop_bar - 1) * intervals.length_ms as last_ms,
        verdict_ranges.stop_bar - verdict_ranges.start_bar as count_missing
    from verdict_ranges
    inner join intervals on verdict_ranges.interval = intervals.interval_name
)

select
    exchange,
    category,
    symbol,
    interval,
    count_missing,
    verdict,
    evidence,
    checked_at,
    make_timestamptz(1000 * first_ms) as first_missing,
    make_timestamptz(1000 * last_ms) as last_missing
from placed
