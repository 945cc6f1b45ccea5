-- Base features of a set in its newest version that has rows in this snapshot.
-- grain: one bar of one series
-- reads: features.$newest
-- parameters: $view, its quoted name; $newest, the quoted name of the version's view
create view features.$view as
select *
from features.$newest
