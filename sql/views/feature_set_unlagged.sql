-- What stands for the lags of a feature set where none were asked for: the set itself.
-- grain: one bar of one series
-- reads: features.$base
-- parameters: $view and $base, quoted names
create view features.$view as
select *
from features.$base
