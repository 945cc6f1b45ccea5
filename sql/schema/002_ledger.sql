-- What is known about bars that are not there, and about the life of instruments.
-- grain: one statement a relation; every time is UTC in milliseconds
-- reads: nothing
-- parameters: none

-- ranges of bar numbers for which a source gave a complete answer without a bar, known since a snapshot
create table absences (
    absence_id integer primary key,
    series_id integer not null references series (series_id),
    start_bar integer not null,
    stop_bar integer not null,
    source text not null,
    checked_at_ms integer not null,
    snapshot_id integer not null references snapshots (snapshot_id),
    unique (series_id, start_bar, stop_bar, source),
    check (start_bar < stop_bar)
) strict;

-- the doctor's opinion of each hole; a check of a series replaces all of its rows
create table verdicts (
    series_id integer not null references series (series_id),
    start_bar integer not null,
    stop_bar integer not null,
    verdict text not null,
    evidence text not null,
    checked_at_ms integer not null,
    primary key (series_id, start_bar),
    check (start_bar < stop_bar)
) strict;

-- an instrument gets a row when it is first seen and whenever anything about it has changed since
create table instruments (
    exchange text not null,
    category text not null,
    symbol text not null,
    seen_at_ms integer not null,
    status text not null,
    launch_ms integer,
    delisted_ms integer,
    funding_interval_min integer,
    primary key (exchange, category, symbol, seen_at_ms)
) strict;

-- one unit of a symbol became `ratio` units of its successor
create table aliases (
    exchange text not null,
    category text not null,
    symbol text not null,
    successor text not null,
    kind text not null,
    ratio real not null check (ratio > 0),
    ended_ms integer,
    began_ms integer,
    primary key (exchange, category, symbol)
) strict;
