-- Base features of a set: each series in the version that it was last built with.
-- grain: one bar of one series
-- reads: the views of the set's versions
-- parameters: $view, its quoted name; $parts, a select a version, joined by name
create view features.$view as
$parts
