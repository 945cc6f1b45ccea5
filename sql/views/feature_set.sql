-- Base features of a set: each series in its newest version that has rows in this snapshot.
-- grain: one bar of one series
-- reads: the views of the set's versions
-- parameters: $view, its quoted name; $parts, a select a version, joined by name
create view features.$view as
$parts
