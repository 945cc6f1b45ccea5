-- Symbols that could be traded at an instant, as in: from universe_at(timestamptz '2024-01-01').
-- grain: one symbol; one without a known launch was listed always
-- reads: universe
-- parameters: none
create macro universe_at(instant) as table
    select *
    from universe
    where
        (listed_from is null or listed_from <= instant)
        and (listed_until is null or listed_until > instant)
