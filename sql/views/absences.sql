-- Bars that a source could not give: its complete answer lacked them, or what it sent was bad (reason).
-- grain: one range of one series from one source
-- reads: absence_ranges, intervals
-- parameters: none
create view absences as
with placed as (
    select
        absence_ranges.*,
        intervals.anchor_ms + absence_ranges.start_bar * intervals.length_ms as first_ms,
        intervals.anchor_ms + (absence_ranges.stop_bar - 1) * intervals.length_ms as last_ms,
        absence_ranges.stop_bar - absence_ranges.start_bar as count_absent
    from absence_ranges
    inner join intervals on absence_ranges.interval = intervals.interval_name
)

select
    exchange,
    category,
    symbol,
    interval,
    count_absent,
    source,
    reason,
    checked_at,
    snapshot_id,
    make_timestamptz(1000 * first_ms) as first_absent,
    make_timestamptz(1000 * last_ms) as last_absent
from placed
