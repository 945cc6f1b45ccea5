-- The catalog of a warehouse: which files make up which snapshot, and what belongs beside them.
-- grain: one statement a relation; every time is UTC in milliseconds, every path relative to the warehouse
-- reads: nothing
-- parameters: none

-- recorded migrations, in order
create table migrations (
    number integer primary key,
    name text not null,
    applied_at_ms integer not null
) strict;

create table series (
    series_id integer primary key,
    exchange text not null,
    category text not null,
    symbol text not null,
    interval text not null,
    unique (exchange, category, symbol, interval)
) strict;

-- states in order of commit; an expired one stays as a row, so that asking for it gets a true answer
create table snapshots (
    snapshot_id integer primary key,
    committed_at_ms integer not null,
    message text not null,
    expired_at_ms integer
) strict;

-- columns of a table as first written
create table table_schemas (
    table_name text not null,
    version text not null,
    is_keyed integer not null check (is_keyed in (0, 1)),
    arrow_schema blob not null,
    primary key (table_name, version)
) strict;

-- visible in snapshot S: added_snapshot <= S and (removed_snapshot is null or removed_snapshot > S)
create table files (
    file_id integer primary key,
    path text not null unique,
    table_name text not null,
    version text not null,
    series_id integer references series (series_id),
    start_bar integer not null,
    stop_bar integer not null,
    n_rows integer not null,
    n_bytes integer not null,
    sha256 text not null,
    content text not null,
    registered_at_ms integer not null,
    added_snapshot integer references snapshots (snapshot_id),
    removed_snapshot integer references snapshots (snapshot_id),
    unreferenced_at_ms integer,
    check (start_bar <= stop_bar),
    check (removed_snapshot is null or removed_snapshot > added_snapshot)
) strict;

-- files with the parts of their series, which are null for a table that belongs to none
create view file_rows as
select
    files.*,
    series.exchange,
    series.category,
    series.symbol,
    series.interval
from files
left join series on files.series_id = series.series_id;

create index files_by_table on files (table_name, version, series_id, start_bar);

create index files_removed on files (removed_snapshot)
where removed_snapshot is not null;

create index files_unpublished on files (registered_at_ms)
where added_snapshot is null;

create index files_unreferenced on files (unreferenced_at_ms)
where unreferenced_at_ms is not null;

-- chunks finished by a build, recorded outside any snapshot so that an interrupted build resumes
create table chunks (
    chunk_key text primary key,
    finished_at_ms integer not null,
    hashes text not null
) strict;

create table chunk_files (
    chunk_key text not null references chunks (chunk_key) on delete cascade,
    place integer not null,
    file_id integer not null references files (file_id),
    primary key (chunk_key, place)
) strict;

create index chunk_files_by_file on chunk_files (file_id);

create table feature_versions (
    set_name text not null,
    number integer not null,
    definition_hash text not null,
    definitions text not null,
    created_at_ms integer not null,
    primary key (set_name, number),
    unique (set_name, definition_hash)
) strict;

create table runs (
    run_id text primary key,
    kind text not null,
    status text not null,
    table_state text not null,
    snapshot_id integer references snapshots (snapshot_id),
    config text not null,
    card text not null,
    created_at_ms integer not null,
    updated_at_ms integer not null
) strict;

create table tags (
    name text primary key,
    snapshot_id integer not null references snapshots (snapshot_id),
    created_at_ms integer not null
) strict;

-- readers that pin a snapshot; one whose heartbeat stops loses the lease at expires_at_ms
create table leases (
    lease_id integer primary key,
    snapshot_id integer not null references snapshots (snapshot_id),
    holder text not null,
    acquired_at_ms integer not null,
    expires_at_ms integer not null
) strict;

-- what each visit to a source brought
create table fetches (
    fetch_id integer primary key,
    snapshot_id integer not null references snapshots (snapshot_id),
    series_id integer not null references series (series_id),
    source text not null,
    fetched_at_ms integer not null,
    n_rows integer not null,
    n_added integer not null,
    n_revised integer not null,
    n_unchanged integer not null,
    n_quarantined integer not null,
    n_forming integer not null
) strict;
