"""Every kind of fault is found in a user's feature, and sound ones pass."""

from pathlib import Path

import polars as pl
import pytest

from mmf.errors import DataError
from mmf.features.audit_report import Effort, audit_features, bars_needed
from mmf.features.registry import FeatureSet, UserFeatures, feature_set
from tests.reference.bars import HOUR, bars_of_close, numbers_with_holes, walk

BARS = bars_of_close(walk(2_000, seed=12), keep=numbers_with_holes(2_000))
QUICK = Effort(n_cuts=24, n_changes=4, n_histories=2)

FILE = """
import time

import numpy as np
import polars as pl

from mmf.features.user import feature

C, V = pl.col("close"), pl.col("volume")
CALLS, SEEN = [], {}
RANDOM = np.random.default_rng()

@feature(lookback=0)
def tomorrow(): return C.shift(-1)

@feature(lookback=0)
def up_tomorrow(): return C * 0 + (C.shift(-1) > C).fill_null(False)

@feature(lookback=0)
def open_ahead(): return pl.col("open").shift(-1)

@feature(lookback=4)
def centred(): return C.rolling_mean(5, center=True)

@feature(lookback=0)
def zscore(): return (C - C.mean()) / C.std()

@feature(lookback=0)
def of_rank(): return C.rank() / pl.len()

@feature(lookback=0)
def filled_back(): return pl.when(V > V.shift(1)).then(C).backward_fill()

@feature(lookback=0)
def between(): return pl.when(V > V.shift(1)).then(C).interpolate()

@feature(lookback=0)
def from_the_end(): return C * pl.int_range(pl.len()).reverse()

@feature(lookback=0)
def alarm(): return C * (1 + (C.max() > HIGHEST))

@feature(lookback=0)
def in_a_rare_row(close):
    out = close.copy()
    out[:-1:17] = close[1::17][: len(out[:-1:17])]
    return out

@feature(lookback=0)
def chance(close): return close * (1 + RANDOM.random(len(close)) / 1000)

@feature(lookback=0)
def counted(close):
    CALLS.append(0)
    return close * len(CALLS)

@feature(lookback=0)
def of_another(close): return close * (1 + len(CALLS))

@feature(lookback=0)
def timed(close): return close * time.time()

@feature(lookback=0)
def by_length(close): return SEEN.setdefault(len(close), close)

@feature(lookback=0)
def deaf(): return C.shift(1)

@feature(lookback=0)
def nowhere(): return C / (V * 0)

@feature(lookback=3)
def short(): return C.rolling_max(6)

@feature(memory=20)
def forgetful(): return C.ewm_mean(alpha=0.2, adjust=False)

@feature(lookback=19)
def rounded(): return (C * 1.1).rolling_sum(20)

@feature(lookback=0)
def total(): return C.cum_sum()

@feature(lookback=0)
def since_first(close): return close / close[0]

@feature(lookback=9)
def long(): return C / C.shift(5)

@feature(lookback=0)
def sometimes_infinite(): return C / (V - V * (V > 50))

@feature(lookback=5)
def sound(): return C / C.shift(5)

@feature(lookback=2)
def sound_open(): return pl.col("open").rolling_max(3)

@feature(memory=90)
def sound_recursive(): return C.ewm_mean(alpha=0.2, adjust=False)

@feature(lookback=0)
def sound_ratio(): return pl.col("turnover") / V
"""

FAULTS = {
    "tomorrow": "sees the future",
    "up_tomorrow": "sees the future",
    "open_ahead": "sees the future",
    "centred": "sees the future",
    "zscore": "sees the future",
    "of_rank": "sees the future",
    "filled_back": "sees the future",
    "between": "sees the future",
    "from_the_end": "sees the future",
    "alarm": "sees the future",
    "in_a_rare_row": "sees the future",
    "chance": "not repeatable",
    "counted": "not repeatable",
    "of_another": "not repeatable",
    "timed": "not repeatable",
    "by_length": "sees the future",
    "deaf": "ignores its own bar",
    "nowhere": "defined in no row",
    "short": "lookback 3 is too short: a bar 5 back moved it; declare lookback=5",
    "forgetful": "memory 20 is too short: a bar 67 back moved it; declare memory=67",
    "rounded": "rounding of older bars stays in it, as in running sums and rolling means; declare memory=20",
    "total": "never forgets a bar",
    "since_first": "incremental differs from full",
}
NOTES = {
    "long": "lookback 9 is longer than measured: declare 5",
    "sometimes_infinite": "infinite in",
    "sound": "sound",
    "sound_open": "sound",
    "sound_recursive": "sound",
    "sound_ratio": "sound",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    path: Path = tmp_path_factory.mktemp("features") / "suspects.py"
    path.write_text(FILE.replace("HIGHEST", str(BARS["close"].max())))
    return audit_features(feature_set("user", UserFeatures(path)), BARS, interval=HOUR, effort=QUICK)


def test_there_is_a_line_a_column(found: pl.DataFrame):
    assert found["column"].to_list() == [*FAULTS, *NOTES]
    assert found["family"].unique().to_list() == ["user"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(found: pl.DataFrame, name: str):
    row = found.row(by_predicate=pl.col("column") == name, named=True)
    assert FAULTS[name] in row["verdict"]
    assert not row["is_sound"]


@pytest.mark.parametrize("name", NOTES)
def test_a_sound_column_passes(found: pl.DataFrame, name: str):
    row = found.row(by_predicate=pl.col("column") == name, named=True)
    assert row["is_sound"]
    assert NOTES[name] in row["verdict"]


def test_a_sample_of_core_is_sound_on_bars_with_holes():
    core = feature_set("core")
    sample = tuple(f for f in core.features[::5] if f.reach <= 600)
    steps: list[tuple[int, int, str]] = []
    found = audit_features(
        FeatureSet("sample", sample), BARS, interval=HOUR, effort=QUICK, on_step=lambda *step: steps.append(step)
    )

    assert len(sample) >= 15
    assert found.filter(pl.col("verdict") != "sound").rows() == []
    assert steps[-1][:2] == (len(sample), len(sample))


@pytest.mark.real_bars
def test_the_trio_is_sound_on_real_bars(real):
    core = feature_set("core")
    trio = tuple(f for f in core.features if f.name in {"hurst_200", "entropy_200", "fdi_200"})
    bars = real("binance_spot_BTCUSDT_1m", 2_000)
    found = audit_features(FeatureSet("trio", trio), bars, interval=HOUR, effort=QUICK)

    assert found["verdict"].unique().to_list() == ["sound"]


def test_the_same_effort_finds_the_same():
    sample = FeatureSet("sample", feature_set("core").features[:3])
    first, second = (audit_features(sample, BARS, interval=HOUR, effort=QUICK) for _ in range(2))
    assert first.equals(second)


def test_too_few_bars_are_refused():
    core = feature_set("core")
    with pytest.raises(DataError, match=rf"an audit of core needs {bars_needed(core)} bars .* got 2000"):
        audit_features(core, BARS, interval=HOUR)
