-- What registered a feature version.
-- grain: one statement a relation
-- reads: nothing
-- parameters: none

-- versions of the packages that were at work, by name as JSON; empty for versions from before this was kept
alter table feature_versions add column packages text not null default '{}';
