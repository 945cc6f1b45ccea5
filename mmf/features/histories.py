"""Audit of incremental building: bars that arrive in any order lead to the same bits as bars that were always there."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from mmf.bars import Interval
from mmf.features.audit import mutated
from mmf.features.build import compute_chunk, content_hashes, plan_chunks
from mmf.features.registry import FeatureSet

CHUNK_BARS = 96  # small, so that a short history crosses many seams
EVENTS = ("append", "backfill", "repair", "revise")


@dataclass
class IncrementalTable:
    """A table that is brought up to its bars as `mmf features build` does it, without storage.

    A chunk whose read set stayed is kept; one whose read set only grew at its end computes the new rows alone; any
    other is computed anew.

    Attributes
    ----------
    features : FeatureSet
        Columns.
    interval : Interval
        Grid of the series.
    lead_bars : int
        Bars that a chunk reads before its first.
    """

    features: FeatureSet
    interval: Interval
    lead_bars: int
    chunks: dict[int, tuple[pl.DataFrame, pl.DataFrame]] = field(default_factory=dict)

    def update(self, bars: pl.DataFrame, /) -> None:
        """Bring the table up to these bars."""
        times = bars["open_time"].dt.epoch("ms").to_numpy()
        plan = plan_chunks(times, self.interval, chunk_bars=CHUNK_BARS, lead_bars=self.lead_bars)
        self.chunks = {
            chunk.number: self._chunk(chunk.number, bars[chunk.read], chunk.own.stop - chunk.own.start)
            for chunk in plan
        }

    def rows(self) -> pl.DataFrame:
        """Return the rows of all chunks by open_time."""
        return pl.concat([result for _, result in self.chunks.values()])

    def _chunk(self, number: int, read: pl.DataFrame, n_own: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        old_read, old = self.chunks.get(number, (read[:0], None))
        n_old = old_read.height
        if old is None or not read[:n_old].equals(old_read):
            return read, compute_chunk(self.features, read, interval=self.interval, n_own=n_own)
        if n_old == read.height:
            return read, old
        new = compute_chunk(self.features, read, interval=self.interval, n_own=read.height - n_old)
        return read, pl.concat([old, new])


def incremental(
    features: FeatureSet, bars: pl.DataFrame, /, *, interval: Interval, n_histories: int = 4, seed: int = 0
) -> pl.DataFrame:
    """Let bars arrive in random histories and compare with a build from scratch.

    Parameters
    ----------
    features : FeatureSet
        Columns to audit.
    bars : pl.DataFrame
        Bars of one series with open_time and the set's inputs, sorted; the last few hundred are used.
    interval : Interval
        Grid of the series.
    n_histories : int
        Each is eight events in random order: bars are appended, put before the first, put into holes, or revised.
    seed : int
        Chooses the histories.

    Returns
    -------
    pl.DataFrame
        One row a column of the set, and missing_bars and is_warm: `column`; `n_differing` (histories at whose end a
        bit of the column differs from a build from scratch; for finite columns also from one pass over all bars);
        `is_incremental`.
    """
    finite = [feature.lookback for feature in features.features if feature.lookback is not None]
    lead_bars = 64 + max(finite, default=0)
    used = bars.tail(lead_bars + 5 * CHUNK_BARS)
    columns = [*features.columns, "missing_bars", "is_warm"]
    one_pass = {feature.name for feature in features.features if feature.lookback is not None}
    n_differing = np.zeros(len(columns), np.int64)
    for number in range(n_histories):
        rng = np.random.default_rng([seed, number])
        table = IncrementalTable(features, interval, lead_bars)
        held = _lived(used, rng, table.update)
        fresh = IncrementalTable(features, interval, lead_bars)
        fresh.update(held)
        whole = compute_chunk(features, held, interval=interval, n_own=held.height)
        got, expected, passed = (content_hashes(frame) for frame in (table.rows(), fresh.rows(), whole))
        n_differing += [got[c] != expected[c] or (c in one_pass and got[c] != passed[c]) for c in columns]
    return pl.DataFrame({"column": columns, "n_differing": n_differing, "is_incremental": n_differing == 0})


# ------------------------------------------------------------------------------------


def _lived(bars: pl.DataFrame, rng: np.random.Generator, on_state: Callable[[pl.DataFrame], None]) -> pl.DataFrame:
    """Let a series live through random events; returns the bars at the end."""
    n = bars.height
    first, end = int(rng.integers(0, n // 2)), int(rng.integers(n // 2 + 1, n))
    is_held = np.zeros(n, bool)
    is_held[first:end] = rng.random(end - first) > 0.05
    is_held[end - 1] = True
    on_state(bars.filter(is_held))
    for event in rng.permutation(EVENTS * 2):
        held = np.flatnonzero(is_held)
        match event:
            case "append":
                is_held[held[-1] + 1 : held[-1] + 1 + int(rng.choice([1, 2, 17, CHUNK_BARS]))] = True
            case "backfill":
                is_held[max(0, held[0] - int(rng.integers(1, CHUNK_BARS))) : held[0]] = True
            case "repair":
                holes = held[0] + np.flatnonzero(~is_held[held[0] : held[-1]])
                is_held[rng.permutation(holes)[: 1 + len(holes) // 2]] = True
            case "revise":
                place = int(rng.choice(held))
                bars = mutated(bars, place, place + int(rng.integers(1, 4)))
        on_state(bars.filter(is_held))
    return bars.filter(is_held)
