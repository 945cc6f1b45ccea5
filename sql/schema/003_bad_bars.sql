-- A bar that a source sends but that fails the check need not be asked for again at every visit either.
-- grain: one statement a relation
-- reads: nothing
-- parameters: none

-- what is wrong with the bars that the source sends; null where it sends none
alter table absences add column reason text;
