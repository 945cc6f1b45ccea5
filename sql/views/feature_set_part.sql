-- The series of a feature set that were last built with this version.
-- grain: one bar of one series
-- reads: features.$version
-- parameters: $version, the quoted name of its view; $series, quoted quadruples
select *
from features.$version
where (exchange, category, symbol, interval) in ($series)
