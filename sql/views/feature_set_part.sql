-- The series of a feature set whose newest version is this one.
-- grain: one bar of one series
-- reads: features.$version
-- parameters: $version, the quoted name of its view; $series, quoted quadruples
select *
from features.$version
where (exchange, category, symbol, interval) in ($series)
