-- Holes in the bars with the doctor's verdict on each, newest first.
-- grain: one run of missing bars with one verdict, or one hole that no check has seen
-- reads: gaps, intervals, verdicts
-- parameters: none
with holes as (
    select
        gaps.exchange,
        gaps.category,
        gaps.symbol,
        gaps.interval,
        gaps.count_missing,
        gaps.after_open_time + to_milliseconds(intervals.length_ms) as first_missing,
        gaps.before_open_time - to_milliseconds(intervals.length_ms) as last_missing
    from gaps
    inner join intervals on gaps.interval = intervals.interval_name
),

judged as (
    select
        holes.exchange,
        holes.category,
        holes.symbol,
        holes.interval,
        verdicts.evidence,
        verdicts.checked_at,
        coalesce(verdicts.first_missing, holes.first_missing) as first_missing,
        coalesce(verdicts.last_missing, holes.last_missing) as last_missing,
        coalesce(verdicts.count_missing, holes.count_missing) as count_missing,
        coalesce(verdicts.verdict, 'not checked yet') as verdict
    from holes
    left join verdicts
        on
            holes.exchange = verdicts.exchange
            and holes.category = verdicts.category
            and holes.symbol = verdicts.symbol
            and holes.interval = verdicts.interval
            and holes.first_missing <= verdicts.first_missing
            and holes.last_missing >= verdicts.last_missing
)

select
    exchange,
    category,
    symbol,
    interval,
    first_missing,
    last_missing,
    count_missing,
    verdict,
    evidence,
    checked_at
from judged
order by first_missing desc, exchange asc, category asc, symbol asc, interval asc
