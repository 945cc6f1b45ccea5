"""Funding rates: a log in Parquet that belongs to no series, since their interval varies by symbol and time."""

import polars as pl

from warehouse.commits import Commit
from warehouse.snapshots import Snapshot

FUNDING = "funding"
FUNDING_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(("exchange", "category", "symbol"), pl.String()),
    "funding_time": pl.Datetime("ms", "UTC"),
    "rate": pl.Float64(),
    "source": pl.String(),
    "fetched_at": pl.Datetime("ms", "UTC"),
}


def stage_funding(commit: Commit, snapshot: Snapshot, rows: pl.DataFrame, /) -> int:
    """Stage the rates that the snapshot lacks or has with other numbers; return how many these are.

    Hold `warehouse.writing("funding", None)` from before the pin until after the commit: files are folded into one
    when they become many, which another writer must not do at the same time.

    Parameters
    ----------
    commit : Commit
        What the rates are staged in.
    snapshot : Snapshot
        The latest state.
    rows : pl.DataFrame
        `FUNDING_SCHEMA`, of any number of symbols. One file is written, so stage many symbols at once.
    """
    rows = rows.select(*FUNDING_SCHEMA).cast(FUNDING_SCHEMA)  # type: ignore[arg-type]
    if rows.is_empty():
        return 0
    start, stop = _hours(rows)
    known = _latest(_read(snapshot, start, stop))
    new = _latest(rows).join(known, on=[*_NAME, "funding_time", "rate"], how="anti")
    if not new.is_empty():
        _write(commit, snapshot, new)
    return new.height


def funding_rates(snapshot: Snapshot, exchange: str, category: str, symbol: str, /) -> pl.DataFrame:
    """Return the rates of one symbol in `FUNDING_SCHEMA`, by funding_time; where one was restated, the last answer."""
    wanted = {"exchange": exchange, "category": category, "symbol": symbol}
    if not snapshot.files(FUNDING):
        return pl.DataFrame(schema=FUNDING_SCHEMA)
    rows = snapshot.scan(FUNDING).filter(pl.col(name) == value for name, value in wanted.items()).collect()
    return _latest(rows).sort("funding_time")


# ------------------------------------------------------------------------------------

_NAME = ("exchange", "category", "symbol")
_MOST_FILES = 32  # a scan opens each of them; folding two million rates takes about a second
_HOUR_MS = 3_600_000


def _hours(rows: pl.DataFrame) -> tuple[int, int]:
    """The range that stands for bar numbers in the catalog, so that a scan can skip files."""
    ms = rows["funding_time"].to_physical()
    return int(ms.min()) // _HOUR_MS, int(ms.max()) // _HOUR_MS + 1  # type: ignore[arg-type]


def _read(snapshot: Snapshot, start: int | None = None, stop: int | None = None) -> pl.DataFrame:
    if not snapshot.files(FUNDING, start=start, stop=stop):
        return pl.DataFrame(schema=FUNDING_SCHEMA)
    return snapshot.scan(FUNDING, start=start, stop=stop).select(*FUNDING_SCHEMA).collect()


def _latest(rows: pl.DataFrame) -> pl.DataFrame:
    ordered = rows.sort("fetched_at", maintain_order=True)
    return ordered.unique([*_NAME, "funding_time"], keep="last", maintain_order=True)


def _write(commit: Commit, snapshot: Snapshot, new: pl.DataFrame) -> None:
    files = snapshot.files(FUNDING)
    if len(files) >= _MOST_FILES:
        new = pl.concat([_read(snapshot), new])
        for file in files:
            commit.remove(file)
    start, stop = _hours(new)
    ordered = new.sort(*_NAME, "funding_time", "fetched_at", maintain_order=True)
    commit.write(FUNDING, None, ordered, start=start, stop=stop)
