-- What a build knows without reading a bar.
-- grain: one statement a relation
-- reads: nothing
-- parameters: none

-- inputs as the catalog names them (definitions, and hashes of the files of bars) -> the unit that they give
create table unit_inputs (
    fingerprint text primary key,
    chunk_key text not null references chunks (chunk_key) on delete cascade
) strict;

create index unit_inputs_by_key on unit_inputs (chunk_key);

-- a build asks for live and unpublished files; superseded ones wait for gc by the thousand
create index files_current on files (table_name, version, series_id, start_bar)
where removed_snapshot is null and unreferenced_at_ms is null;
