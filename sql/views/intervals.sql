-- Length of each interval, and the open_time of its bar number 0.
-- grain: one interval name as Bybit writes it
-- reads: nothing
-- parameters: none
create view intervals as
select
    lengths.interval_name,
    lengths.length_ms,
    lengths.anchor_ms
from (
    values
    ('1', 60000, 0),
    ('3', 180000, 0),
    ('5', 300000, 0),
    ('15', 900000, 0),
    ('30', 1800000, 0),
    ('60', 3600000, 0),
    ('120', 7200000, 0),
    ('240', 14400000, 0),
    ('360', 21600000, 0),
    ('720', 43200000, 0),
    ('D', 86400000, 0),
    ('W', 604800000, 345600000)
) as lengths (interval_name, length_ms, anchor_ms)
