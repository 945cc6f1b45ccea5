"""All audits of a feature set, one computation after the other, and what they found column by column."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mmf.bars import Interval
from mmf.errors import DataError
from mmf.features.audit import causality, reach
from mmf.features.awkward import plant_awkward
from mmf.features.build import compute_chunk, compute_columns, content_hashes
from mmf.features.histories import incremental
from mmf.features.record import Computation, Feature
from mmf.features.registry import FeatureSet

SOUND = "sound"
LEAST_BARS = 600
USED_BARS = 2_000  # of columns that remember little


@dataclass(frozen=True)
class Effort:
    """How long an audit searches.

    Attributes
    ----------
    n_cuts : int
        Rows after which the future is changed and taken away.
    n_changes : int
        Single bars changed to measure how far back a column reads.
    n_histories : int
        Random orders in which bars arrive.
    seed : int
        Chooses rows and histories.
    """

    n_cuts: int = 80
    n_changes: int = 8
    n_histories: int = 6
    seed: int = 0


def bars_needed(features: FeatureSet, /) -> int:
    """Count of bars that an audit of every column needs: three times the memory and a few."""
    return max(LEAST_BARS, 3 * features.memory + 24)


def audit_features(
    features: FeatureSet,
    bars: pl.DataFrame,
    /,
    *,
    interval: Interval,
    effort: Effort = Effort(),
    on_step: Callable[[int, int, str], None] | None = None,
) -> pl.DataFrame:
    """Audit every column: causality, incremental = full, declared = measured reach, same input same bits.

    Parameters
    ----------
    features : FeatureSet
        Columns to audit.
    bars : pl.DataFrame
        Bars of one series with open_time and the set's inputs, sorted; each computation is audited on the newest
        2,000, or three times its memory.
    interval : Interval
        Grid of the series.
    effort : Effort
        How long to search.
    on_step : callable(done, total, family), optional
        Called after each computation, for progress; done and total count columns.

    Returns
    -------
    pl.DataFrame
        One row a column of the set, in its order: column, family, kind (lookback or memory), declared, measured (bars),
        leak_rows, answers, n_differing (histories), is_repeatable, n_defined and n_infinite (rows), verdict (text,
        "sound" where nothing was found), is_sound.

    Raises
    ------
    DataError
        Too few bars.
    """
    if bars.height < bars_needed(features):
        raise DataError(
            f"an audit of {features.name} needs {bars_needed(features)} bars (three times the longest memory, "
            f"{features.memory}), got {bars.height}. Bring more bars in, name columns of shorter memory with "
            "--feature, or leave --series out."
        )
    parts = list(_parts(features))
    before = [_hashes(part, bars, interval) for part in parts]
    found = []
    for part in parts:
        found.append(_audit(part, bars, interval, effort))
        if on_step is not None:
            on_step(sum(map(len, found)), len(features.features), part.features[0].family)
    after = [_hashes(part, bars, interval) for part in parts]  # all others and some time lie between
    is_same = [one[column] == two[column] for one, two in zip(before, after, strict=True) for column in one]
    frame = pl.concat(found).with_columns(pl.Series("is_repeatable", is_same))
    order = pl.DataFrame({"column": features.columns})
    return order.join(_judged(frame, features), on="column", how="left", maintain_order="left")


# ------------------------------------------------------------------------------------


def _used(bars: pl.DataFrame, features: FeatureSet) -> pl.DataFrame:
    return bars.tail(max(USED_BARS, bars_needed(features)))


def _parts(features: FeatureSet) -> Iterator[FeatureSet]:
    """One set for each computation and kind of reach, so that short memories are audited on few bars."""
    groups: dict[tuple[Computation, bool], list[Feature]] = {}
    for feature in features.features:
        groups.setdefault((feature.computation, feature.lookback is None), []).append(feature)
    for group in groups.values():
        yield FeatureSet(features.name, tuple(group), features.user)


def _audit(features: FeatureSet, bars: pl.DataFrame, interval: Interval, effort: Effort) -> pl.DataFrame:
    used = _used(bars, features).select("open_time", *features.inputs)
    causal = causality(features, used, interval=interval, rows=_cuts(used.height, features.memory, effort))
    lived = incremental(
        features,
        bars.select("open_time", *features.inputs),
        interval=interval,
        n_histories=effort.n_histories,
        seed=effort.seed,
    )
    planted, places = plant_awkward(used, seed=effort.seed)
    awkward = causality(features, planted, interval=interval, rows=places)
    p = len(features.columns)
    return reach(features, used, rows=_changes(used.height, effort)).with_columns(
        causal["leak_rows"][:p] + awkward["leak_rows"][:p],
        causal["answers"][:p],
        lived["n_differing"][:p],
        *_n_defined(features, used),
        pl.lit(used.height // 2).alias("too_far"),
        pl.lit(int((causal["leak_rows"] + awkward["leak_rows"])[p:].sum())).alias("flag_leaks"),
    )


def _cuts(n: int, memory: int, effort: Effort) -> list[int]:
    """Rows to cut at: the first ones, a run of neighbours, and random ones, half of them warm."""
    rng = np.random.default_rng([effort.seed, n])
    n_run = min(effort.n_cuts, n) // 4
    run = int(rng.integers(n // 2, n - n_run - 1)) + np.arange(n_run)
    anywhere = rng.integers(2, n - 1, effort.n_cuts // 4)
    warm = rng.integers(min(memory, n - 2), n - 1, effort.n_cuts // 2)
    return sorted({int(t) for t in (0, 1, *run, *anywhere, *warm) if t < n - 1})


def _changes(n: int, effort: Effort) -> list[int]:
    """Rows of the first half to change: three fixed ones and random ones, with a full memory behind them."""
    rng = np.random.default_rng([effort.seed, n, 1])
    random = rng.integers(n // 12, 7 * n // 12, max(0, effort.n_changes - 3))
    return sorted({*(n * share // 24 for share in (2, 5, 7)), *random.tolist()})


def _hashes(features: FeatureSet, bars: pl.DataFrame, interval: Interval) -> dict[str, str]:
    used = _used(bars, features)
    hashes = content_hashes(compute_chunk(features, used, interval=interval, n_own=used.height))
    return {name: hashes[name] for name in features.columns}


def _n_defined(features: FeatureSet, bars: pl.DataFrame) -> list[pl.Series]:
    columns = compute_columns(features, bars, n_own=bars.height)
    values = np.column_stack([columns[name] for name in features.columns])
    return [
        pl.Series("n_defined", np.isfinite(values).sum(axis=0)),
        pl.Series("n_infinite", np.isinf(values).sum(axis=0)),
    ]


def _judged(frame: pl.DataFrame, features: FeatureSet) -> pl.DataFrame:
    family = pl.DataFrame({"column": features.columns, "family": [f.family for f in features.features]})
    rows = list(frame.iter_rows(named=True))
    return (
        frame.with_columns(
            pl.Series("verdict", [next(itertools.chain(_faults(row), _notes(row))) for row in rows]),
            pl.Series("is_sound", [next(_faults(row), None) is None for row in rows]),
        )
        .join(family, on="column", how="left")
        .select(
            *("column", "family", "kind", "declared", "measured", "leak_rows", "answers", "n_differing"),
            *("is_repeatable", "n_defined", "n_infinite", "verdict", "is_sound"),
        )
    )


def _faults(row: dict[str, Any]) -> Iterator[str]:
    """What forbids the use of a column, worst first."""
    if not row["is_repeatable"]:
        yield "not repeatable: the same bars gave other values; it reads a clock, chance or a state"
    if row["leak_rows"]:
        yield f"sees the future: {row['leak_rows']} rows moved when only later bars changed or went"
    if row["flag_leaks"]:
        yield f"missing_bars or is_warm sees the future in {row['flag_leaks']} rows"
    if not row["n_defined"]:
        yield "defined in no row"
    if not row["answers"]:
        yield "ignores its own bar: make it a feature of this bar and read it through a lag"
    if row["measured"] > row["declared"]:
        yield _too_short(row)
    if row["n_differing"]:
        yield f"incremental differs from full in {row['n_differing']} histories: bits depend on where the read begins"


def _notes(row: dict[str, Any]) -> Iterator[str]:
    """What a reader should know of a sound column."""
    if row["kind"] == "lookback" and row["measured"] < row["declared"]:
        yield f"lookback {row['declared']} is longer than measured: declare {row['measured']}, unless it is by design"
    if row["n_infinite"]:
        yield f"infinite in {row['n_infinite']} rows, stored as null: guard the division"
    yield SOUND


def _too_short(row: dict[str, Any]) -> str:
    kind, declared, measured, faded = (row[name] for name in ("kind", "declared", "measured", "faded"))
    if kind == "lookback" and faded <= row["too_far"] < measured:
        return (
            f"lookback {declared}: rounding of older bars stays in it, as in running sums and rolling means; "
            f"declare memory={max(declared, faded)} in place of lookback"
        )
    if measured > row["too_far"]:
        return f"{kind} {declared} is too short: it never forgets a bar; write it over a window"
    return f"{kind} {declared} is too short: a bar {measured} back moved it; declare {kind}={measured}"
