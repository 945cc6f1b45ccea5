-- Symbols listed in each month: how many there were, how many came, how many went.
-- grain: one month of one category of one exchange, from its first known launch to its last change
-- reads: universe
-- parameters: none
with changes as (
    select
        exchange,
        category,
        date_trunc('month', listed_from) as month,
        1 as count_launched,
        0 as count_delisted
    from universe
    where listed_from is not null
    union all
    select
        exchange,
        category,
        date_trunc('month', listed_until) as month,
        0 as count_launched,
        1 as count_delisted
    from universe
    where listed_until is not null
),

monthly as (
    select
        exchange,
        category,
        month,
        sum(count_launched)::bigint as count_launched,
        sum(count_delisted)::bigint as count_delisted
    from changes
    group by exchange, category, month
)

select
    exchange,
    category,
    month,
    count_launched,
    count_delisted,
    sum(count_launched - count_delisted) over (
        partition by exchange, category
        order by month
    )::bigint as count_listed
from monthly
order by exchange, category, month
