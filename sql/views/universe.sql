-- When each symbol could be traded, and the name under which its asset lives on.
-- grain: one life of one symbol; a symbol that was delisted and launched again has two
-- reads: instruments, aliases
-- parameters: none
create view universe as
with recursive chains as (
    select
        exchange,
        category,
        symbol,
        successor,
        ratio,
        1 as depth
    from aliases
    union all
    select
        chains.exchange,
        chains.category,
        chains.symbol,
        aliases.successor,
        chains.ratio * aliases.ratio as ratio,
        chains.depth + 1 as depth
    from chains
    inner join aliases
        on
            chains.exchange = aliases.exchange
            and chains.category = aliases.category
            and chains.successor = aliases.symbol
    where chains.depth < 100
),

newest as (
    select
        exchange,
        category,
        symbol,
        max_by(successor, depth) as asset,
        max_by(ratio, depth) as ratio
    from chains
    group by exchange, category, symbol
),

ranked as (
    select
        *,
        row_number() over (
            partition by exchange, category, symbol, launched_at
            order by seen_at desc
        ) as age_in_life,
        row_number() over (
            partition by exchange, category, symbol
            order by seen_at desc
        ) as age
    from instruments
)

select
    ranked.exchange,
    ranked.category,
    ranked.symbol,
    ranked.launched_at as listed_from,
    ranked.delisted_at as listed_until,
    ranked.funding_interval_min,
    ranked.status,
    coalesce(newest.asset, ranked.symbol) as asset,
    coalesce(newest.ratio, 1) as ratio
from ranked
left join newest
    on
        ranked.exchange = newest.exchange
        and ranked.category = newest.category
        and ranked.symbol = newest.symbol
-- an earlier life counts where it had ended; otherwise the exchange has corrected its launch time
where ranked.age_in_life = 1 and (ranked.age = 1 or ranked.delisted_at is not null)
