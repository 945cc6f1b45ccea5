-- A feature set with the features of a longer interval, as each row knew them when its own bar closed.
-- grain: one bar of one series of a shorter interval
-- reads: the views of the set's versions
-- parameters: $view, its quoted name; $parts, a select a version, joined by name
create view features.$view as
$parts
