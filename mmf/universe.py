"""Which instruments could be traded when, as an exchange listed them: a universe without hindsight."""

from collections.abc import Sequence

import polars as pl

from mmf.aliases import Alias, chain
from mmf.bars import Series
from mmf.doctor.gaps import Listing

INSTRUMENT_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(("exchange", "category", "symbol", "status"), pl.String()),
    **dict.fromkeys(("launch_ms", "delisted_ms", "funding_interval_min", "seen_at_ms"), pl.Int64()),
}
LIFE_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(("exchange", "category", "symbol", "asset"), pl.String()),
    "ratio": pl.Float64(),
    **dict.fromkeys(("launch_ms", "delisted_ms", "funding_interval_min"), pl.Int64()),
    "status": pl.String(),
}


def lives(instruments: pl.DataFrame, aliases: Sequence[Alias] = (), /) -> pl.DataFrame:
    """Turn recorded sightings into lives: from a launch to a delisting.

    Parameters
    ----------
    instruments : pl.DataFrame
        `INSTRUMENT_SCHEMA`: a row for each state in which an instrument was seen.
    aliases : sequence of Alias
        Known renames and redenominations.

    Returns
    -------
    pl.DataFrame
        `LIFE_SCHEMA`, by exchange, category, symbol and launch. `asset` is the newest name of the symbol's chain and
        `ratio` how many units of it one unit of the symbol is worth. A symbol that was delisted and launched again has
        two lives; where the launch changed without a delisting, the exchange has corrected it and the last one counts.
    """
    name = ("exchange", "category", "symbol")
    ordered = instruments.select(*INSTRUMENT_SCHEMA).sort(*name, "seen_at_ms", maintain_order=True)
    last = ordered.unique([*name, "launch_ms"], keep="last", maintain_order=True)
    is_newest = pl.col("seen_at_ms") == pl.col("seen_at_ms").max().over(name)
    kept = last.filter(is_newest | pl.col("delisted_ms").is_not_null())
    now = [
        chain(symbol, aliases, market=(exchange, category)) for exchange, category, symbol in kept.select(name).rows()
    ]
    named = kept.with_columns(
        pl.Series("asset", [links[-1].symbol for links in now], dtype=pl.String()),
        pl.Series("ratio", [links[0].ratio for links in now], dtype=pl.Float64()),
    )
    return named.select(*LIFE_SCHEMA).sort(*name, "launch_ms", nulls_last=False)


def universe_at(at_ms: int, instruments: pl.DataFrame, aliases: Sequence[Alias] = (), /) -> pl.DataFrame:
    """Return the lives that an instant falls into: from the launch on, before the delisting.

    Parameters
    ----------
    at_ms : int
        UTC in ms.
    instruments, aliases
        As of `lives`. An instrument without a known launch was listed always.
    """
    is_launched = pl.col("launch_ms").is_null() | (pl.col("launch_ms") <= at_ms)
    is_listed = pl.col("delisted_ms").is_null() | (pl.col("delisted_ms") > at_ms)
    return lives(instruments, aliases).filter(is_launched & is_listed)


def listing(series: Series, instruments: pl.DataFrame, /) -> Listing:
    """Return from when until when a series can have bars: its first launch and its last delisting, None where open.

    Parameters
    ----------
    series : Series
        Its interval does not matter.
    instruments : pl.DataFrame
        `INSTRUMENT_SCHEMA`.
    """
    exchange, category, symbol, _ = series.key
    own = lives(instruments.filter(exchange=exchange, category=category, symbol=symbol))
    launches, ends = own["launch_ms"].to_list(), own["delisted_ms"].to_list()
    return Listing(
        None if None in launches else min(launches, default=None), None if None in ends else max(ends, default=None)
    )
