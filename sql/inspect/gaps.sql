-- Holes in the bars, longest first.
-- grain: one hole of one series
-- reads: gaps
-- parameters: none
select
    exchange,
    category,
    symbol,
    interval,
    after_open_time,
    before_open_time,
    count_missing
from gaps
order by count_missing desc, exchange asc, category asc, symbol asc, interval asc, after_open_time asc
