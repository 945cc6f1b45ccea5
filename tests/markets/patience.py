"""What tests of live sources share: a clock that only sleeping moves, retries without delay, and what came back."""

from dataclasses import dataclass, field

import polars as pl

from mmf.bar_check import check_bars
from mmf.bars import BAR_SCHEMA, Series
from mmf.errors import MMFError
from mmf.markets.http import HttpOptions
from mmf.markets.pacing import Pacer
from mmf.markets.source import ALL_TIME, Batch, Source
from mmf.ranges import Ranges, cells, held_ranges, subtract, union

QUICK = HttpOptions(timeout_s=5.0, first_wait_s=0.001, longest_wait_s=0.002, jitter_s=0.001)


@dataclass
class VirtualClock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def virtual_pacer(limit: int = 600, window_s: float = 5.0) -> Pacer:
    clock = VirtualClock()
    return Pacer(limit, window_s, clock=clock, sleep=clock.sleep)


@dataclass
class Store:
    """As much of a warehouse as a source needs: bars by open_time, and the bar numbers known to be absent."""

    series: Series
    bars: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=BAR_SCHEMA))
    covered: Ranges = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)

    def fetch(self, source: Source, *wanted: tuple[int, int]) -> "Store":
        """Store what a source yields, batch by batch, so that an error leaves what came before it."""
        for batch in source.batches(self.series, wanted or (ALL_TIME,)):
            self._add(batch)
        return self

    def survives(self, source: Source, *wanted: tuple[int, int]) -> bool:
        """Whether a fetch ends well; where it does not, its error must say more than a word."""
        try:
            self.fetch(source, *wanted)
        except MMFError as error:
            assert len(str(error)) > 80, error  # noqa: PT017
            return False
        return True

    def absent(self) -> Ranges:
        """Bar numbers of which the source says that they do not exist."""
        grid = self.series.grid
        held = held_ranges(self.bars.select(grid.bar_number_expr()).to_series().to_numpy())
        return subtract(self.covered, held)

    def _add(self, batch: Batch) -> None:
        grid = self.series.grid
        checked = check_bars(batch.rows, interval=grid, closed_before_ms=batch.closed_before_ms)
        assert checked.quarantined.is_empty(), checked.quarantined
        self.bars = pl.concat([self.bars, checked.bars]).unique("open_time", keep="last").sort("open_time")
        self.covered = union(self.covered, cells(batch.covered, size=grid.ms, anchor=grid.anchor_ms))
        assert all(stop_ms <= batch.closed_before_ms for _, stop_ms in batch.covered)
        self.batches.append(batch)
