-- Which version of a feature set a series was last built with.
-- grain: one statement a relation
-- reads: nothing
-- parameters: none

-- a row where a build turned to another version than the one before: views and expiry go by the newest
create table feature_turns (
    turn_id integer primary key,
    set_name text not null,
    series_id integer not null references series (series_id),
    version text not null,
    snapshot_id integer not null references snapshots (snapshot_id)
) strict;

create index feature_turns_by_table on feature_turns (set_name, series_id, turn_id);
