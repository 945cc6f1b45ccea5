-- Length of each interval.
-- grain: one interval name as Bybit writes it
-- reads: nothing
-- parameters: none
create view intervals as
select
    lengths.interval_name,
    lengths.length_ms
from (
    values
    ('1', 60000),
    ('3', 180000),
    ('5', 300000),
    ('15', 900000),
    ('30', 1800000),
    ('60', 3600000),
    ('120', 7200000),
    ('240', 14400000),
    ('360', 21600000),
    ('720', 43200000),
    ('D', 86400000),
    ('W', 604800000)
) as lengths (interval_name, length_ms)
