"""Commands in any weather: random schedules of faults, and in the end the warehouse holds what the exchange serves."""

import _thread
import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
import stamina
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cli.main import main
from mmf.bars import BAR_SCHEMA, Series
from mmf.pipeline.tables import stored_bars
from tests.exchange.faults import Faults
from tests.exchange.http_server import Answer
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars
from warehouse import SeriesKey, Warehouse

N_BARS = 2_600
NO_SHRINKING = (Phase.explicit, Phase.generate)  # an example takes a second: the report names it as it was drawn
PASSING = ("unavailable", "dropped", "cut", "truncated", "not_json", "timed_out", "duplicated", "disordered")
OF_BYBIT = (*PASSING, "too_many", "too_many_reset")
STOPPING = ("ip_ban", "geo_block", "unknown_symbol")
# Two answers for one page that lie alike cannot be told from a hole: one run meets one lie about what exists.
LIES = (None, "empty", "lossy")


class Interrupting(LoopbackExchange):
    """Presses Ctrl-C when a certain request arrives."""

    interrupt_at: int | None = None

    def _respond(self, target: str) -> Answer:
        if self.interrupt_at is not None and len(self.requests) >= self.interrupt_at:
            self.interrupt_at = None
            # no real signal: Polars raises it in whatever thread collects, and that of the exchange does
            _thread.interrupt_main()
        return super()._respond(target)


@dataclass(frozen=True)
class Weather:
    """What happens to one run of the command."""

    plan: list[str | None]
    lie: str | None
    interrupt_after: int | None
    n_newer: int

    def faults(self) -> Faults:
        return Faults(plan=[*self.plan, self.lie], limit=None, weight_per_min=None, reset_ms=20)


@dataclass(frozen=True)
class Life:
    """What is true of the series, and how it changes between two runs."""

    hole: tuple[int, int]
    n_before: int
    ends_after: int | None
    n_restated: int


def weathers(passing: tuple[str, ...], n_requests: int) -> st.SearchStrategy[Weather]:
    fault = st.tuples(st.sampled_from([None, *passing, *STOPPING]), st.integers(1, 3) | st.just(9))
    plan = st.lists(fault, max_size=8).map(lambda runs: [kind for kind, n in runs for _ in range(n)])
    interrupt = st.none() | st.integers(0, n_requests)
    return st.builds(Weather, plan, st.sampled_from(LIES), interrupt, st.integers(0, 300))


LIVES = st.builds(
    Life,
    st.tuples(st.integers(0, N_BARS - 120), st.integers(0, 120)),
    st.integers(20, N_BARS - 700),
    st.none() | st.integers(0, 500),
    st.integers(0, 10),
)


def run(folder: Path, exchange: LoopbackExchange, series: Series) -> tuple[int, str]:
    """Exit code and what was said on stderr."""
    span = ("--interval", series.interval, "--start", "2024-01-01", "--category", series.category)
    at = ("--base-url", exchange.url, "--archive-url", exchange.url, "--warehouse", str(folder))
    command = ["mmf", "ingest", series.exchange, series.symbol, *span, *at]
    said = io.StringIO()
    with patch.object(sys, "argv", command), redirect_stdout(io.StringIO()), redirect_stderr(said):
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0), said.getvalue()
    return 0, said.getvalue()


def stored(folder: Path, series: Series) -> pl.DataFrame:
    if not (folder / "catalog.sqlite").exists():
        return pl.DataFrame(schema=BAR_SCHEMA)
    with Warehouse.open(folder) as warehouse, warehouse.pin() as snapshot:
        if not snapshot.files("bars", SeriesKey(*series.key)):
            return pl.DataFrame(schema=BAR_SCHEMA)
        return stored_bars(snapshot, series).select(*BAR_SCHEMA)


def restated(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.with_columns(pl.col("volume") * 2, pl.col("turnover") * 2)


@contextmanager
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=8, cap=True):
        yield


def live_through(series: Series, life: Life, weather: list[Weather]) -> None:
    """Run the command in each weather, then in none; a run that failed said why, and no run stores what is not so."""
    bars = walk_bars(N_BARS, interval=series.interval)
    whole = pl.concat([bars[: life.hole[0]], bars[sum(life.hole) :]])
    interval_ms, n_closed = series.grid.ms, life.n_before
    told: list[pl.DataFrame] = []  # the closed bars as they were at each time
    with tempfile.TemporaryDirectory() as name, Interrupting([Market(series, whole)]) as exchange, no_waiting():
        folder = Path(name) / "warehouse"
        for one in weather:
            exchange.set_now(JANUARY_2024_MS + n_closed * interval_ms + interval_ms // 3)
            exchange.faults = one.faults()
            n_before = len(exchange.requests)
            exchange.interrupt_at = None if one.interrupt_after is None else n_before + one.interrupt_after
            code, said = run(folder, exchange, series)
            exchange.interrupt_at = None
            assert code == 0 or len(said) > 60, said
            told.append(exchange.served(series))
            assert stored(folder, series).join(pl.concat(told), on=list(BAR_SCHEMA), how="anti").is_empty(), said
            exchange.revise(series, restated(exchange.served(series).tail(life.n_restated)))
            n_closed += one.n_newer
            if life.ends_after is not None:
                exchange.delist(series, JANUARY_2024_MS + (life.n_before + life.ends_after) * interval_ms)
        exchange.faults = Faults(limit=None, weight_per_min=None)
        assert run(folder, exchange, series)[0] == 0
        assert stored(folder, series).equals(exchange.served(series))


@given(life=LIVES, weather=st.lists(weathers(OF_BYBIT, 9), min_size=1, max_size=2))
@settings(max_examples=8, phases=NO_SHRINKING, suppress_health_check=[HealthCheck.too_slow])
def test_bybit_in_any_weather(life, weather):
    live_through(Series.parse("bybit:linear:BTCUSDT:60"), life, weather)


@given(life=LIVES, weather=st.lists(weathers(PASSING, 25), min_size=1, max_size=2))
@settings(max_examples=3, phases=NO_SHRINKING, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("series", ["binance:um:BTCUSDT:60", "binance:spot:BTCUSDT:30"])
def test_binance_in_any_weather(series, life, weather):
    live_through(Series.parse(series), life, weather)
