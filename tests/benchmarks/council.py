"""The council beside plain scikit-learn voters on the same rows and folds, and the refinery, one process each.

python -m tests.benchmarks.council FILE [n_rows n_columns]   prints one JSON line for a file of 60m bars.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from sklearn.feature_selection import mutual_info_classif

from mmf.alpha_council import AlphaCouncil
from mmf.alpha_council.forest import forest_importance
from mmf.alpha_council.linear import lasso
from mmf.alpha_council.mutual_information import mutual_information
from mmf.alpha_council.ranking import anova_f, standardise
from mmf.bars import Interval
from mmf.features.build import compute_columns
from mmf.features.lags import lag_columns, lagged
from mmf.features.registry import feature_set
from mmf.impute import MedianImputer
from mmf.labels import LabelConfig, make_labels
from mmf.rows import Rows, TrainingRows
from mmf.splits import chronological_split, time_folds
from mmf.tensor_flex import TensorFlex
from tests.benchmarks.plain_votes import (
    N_FOLDS,
    N_TREES,
    agreement_with_plain,
    overlap,
    plain_forest,
    plain_lasso,
    top,
)

N_ROWS = 4_000
N_COLUMNS = 340
N_BARS = 17_520  # two years
FIRST_DEFINED = 413
SIXTY_MINUTE_FILE = "bybit_linear_BTCUSDT_60m.parquet"

T = TypeVar("T")


@dataclass(frozen=True)
class Voters:
    """Seconds of CPU of each voter and its plain twin, and the share of the top half that they have in common.

    `plain_forests_overlap` is that of two plain forests of different seed, which no other forest can exceed for long.
    """

    n_rows: int
    n_columns: int
    linear_s: float
    plain_linear_s: float
    linear_overlap: float
    forest_s: float
    plain_forest_s: float
    forest_overlap: float
    plain_forests_overlap: float
    mutual_s: float
    plain_mutual_s: float
    mutual_overlap: float
    council_jaccard: float


@dataclass(frozen=True)
class Whole:
    """Seconds of CPU and by the clock of the council and the refinery on all training rows and columns.

    `agreement` is that of the top halves with plain voters; see `tests.benchmarks.plain_votes`.
    """

    n_rows: int
    n_columns: int
    council_s: float
    council_wall_s: float
    n_selected: int
    refinery_s: float
    refinery_wall_s: float
    n_latents: int
    peak_mib: float
    agreement: dict[str, float] | None


def measure_voters(rows: TrainingRows, /) -> Voters:
    """Let the voters and their plain twins vote on the same rows and folds."""
    X, Z = np.asfortranarray(rows.x), standardise(np.asfortranarray(rows.x))
    codes, folds = rows.label.astype(np.int64), time_folds(rows, N_FOLDS)
    _load_kernels(X[:200, :20], codes[:200])
    ours = {
        "linear": _timed(lambda: np.abs(lasso(Z, codes, folds=folds)[0])),
        "forest": _timed(lambda: forest_importance(X, codes, n_estimators=N_TREES)),
        "mutual": _timed(lambda: mutual_information(X, codes)),
    }
    plain = {
        "linear": _timed(lambda: plain_lasso(Z.astype(np.float64), codes, folds)),
        "forest": _timed(lambda: plain_forest(rows.x, codes, seed=0)),
        "mutual": _timed(lambda: mutual_info_classif(rows.x, codes, random_state=0)),
    }
    f = anova_f(Z, codes)
    tops, plain_tops = ({name: top(score, f) for name, (score, _) in of.items()} for of in (ours, plain))
    common = {name: overlap(tops[name], plain_tops[name]) for name in tops}
    selected, plain_selected = (sum(of.values()) >= 2 for of in (tops, plain_tops))
    return Voters(
        n_rows=len(rows),
        n_columns=len(rows.columns),
        **{f"{name}_s": seconds for name, (_, seconds) in ours.items()},
        **{f"plain_{name}_s": seconds for name, (_, seconds) in plain.items()},
        **{f"{name}_overlap": share for name, share in common.items()},
        plain_forests_overlap=overlap(plain_tops["forest"], top(plain_forest(rows.x, codes, seed=1), f)),
        council_jaccard=float((selected & plain_selected).sum() / (selected | plain_selected).sum()),
    )


def measure_whole(rows: TrainingRows, /) -> Whole:
    """Select and refine, kernels loaded."""
    few = rows.take(np.arange(0, len(rows), max(1, len(rows) // 400)))
    TensorFlex(n_folds=4).fit_rows(few.select(AlphaCouncil(n_estimators=2).fit_rows(few).selected_))
    began = time.perf_counter()
    council, council_s = _timed(lambda: AlphaCouncil().fit_rows(rows))
    voted = time.perf_counter()
    flex, refinery_s = _timed(lambda: TensorFlex().fit_rows(rows.select(council.selected_)))
    return Whole(
        n_rows=len(rows),
        n_columns=len(rows.columns),
        council_s=council_s,
        council_wall_s=voted - began,
        n_selected=len(council.selected_),
        refinery_s=refinery_s,
        refinery_wall_s=time.perf_counter() - voted,
        n_latents=flex.latents_.height,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        agreement=agreement_with_plain(council.votes_, len(rows)),
    )


def training_rows(bars: pl.DataFrame, /) -> TrainingRows:
    """The training rows of the newest two years of 60m bars, all 1,365 columns, without undefined values."""
    bars = bars[-(N_BARS + FIRST_DEFINED) :]
    core = feature_set("core")
    columns = compute_columns(core, bars, n_own=bars.height)
    names = lag_columns(tuple(columns))
    table = lagged(pl.DataFrame(columns), tuple(columns)).select(names).collect()
    label = make_labels(bars, interval=Interval("60"), config=LabelConfig())
    rows = Rows(
        open_time_ms=bars["open_time"].to_physical().to_numpy(),
        x=table.cast(pl.Float32).fill_null(np.nan).to_numpy(order="c"),
        columns=names,
        label=label["label"].to_numpy(),
        label_end_ms=label["label_end"].to_physical().to_numpy(),
    ).take(np.arange(FIRST_DEFINED, bars.height))
    training = chronological_split(rows).training(rows)
    return _with(training, MedianImputer().fit_rows(training).transform(training.x), names)


def sample(rows: TrainingRows, n_rows: int, n_columns: int, /) -> TrainingRows:
    """The newest rows, and columns evenly spread over all; the trio among them."""
    newest = rows.take(np.arange(len(rows) - min(n_rows, len(rows)), len(rows)))
    places = np.linspace(0, len(rows.columns) - 1, min(n_columns, len(rows.columns))).astype(int)
    names = tuple(rows.columns[j] for j in places)
    return newest.select(names)


# ------------------------------------------------------------------------------------


def _with(rows: TrainingRows, x: np.ndarray, columns: tuple[str, ...]) -> TrainingRows:
    return TrainingRows(rows.open_time_ms, x, columns, rows.label, rows.label_end_ms, rows.known_before_ms)


def _load_kernels(X: np.ndarray, codes: np.ndarray) -> None:
    X = np.asfortranarray(X)
    lasso(standardise(X), codes, folds=[(np.arange(100), np.arange(100, 200))])
    forest_importance(X, codes, n_estimators=1)
    mutual_information(X, codes)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def print_council(console: Console, /) -> None:
    """Print the voters beside their plain twins, and the whole of selection and refinery, on real 60m bars."""
    if not (real := os.environ.get("MMF_REAL_BARS")):
        console.print("\ncouncil: set MMF_REAL_BARS to a folder that holds klines/", highlight=False)
        return
    rows = training_rows(pl.read_parquet(Path(real) / "klines" / SIXTY_MINUTE_FILE))
    part, whole = measure_voters(sample(rows, N_ROWS, N_COLUMNS)), measure_whole(rows)
    table = Table("voter", "CPU s", "plain scikit-learn, CPU s", "ratio", "top half in common", box=None)
    for name in ("linear", "forest", "mutual"):
        ours, plain = getattr(part, f"{name}_s"), getattr(part, f"plain_{name}_s")
        overlap = f"{getattr(part, f'{name}_overlap'):.3f}"
        table.add_row(name, f"{ours:.2f}", f"{plain:.2f}", f"{ours / plain:.3f}", overlap)
    console.print(f"\n{part.n_rows:,} rows of {part.n_columns} columns", highlight=False)
    console.print(table)
    console.print(
        f"two plain forests of different seed have {part.plain_forests_overlap:.3f} in common; selections agree "
        f"{part.council_jaccard:.3f} (Jaccard)\n{whole.n_rows:,} rows of {whole.n_columns:,} columns: council "
        f"{whole.council_s:.1f} s of CPU, {whole.council_wall_s:.1f} s wall; Tensor-Flex on {whole.n_selected} columns "
        f"{whole.refinery_s:.2f} s of CPU; peak of the process {whole.peak_mib:,.0f} MiB\n{_agreed(whole.agreement)}",
        highlight=False,
    )


def _agreed(agreement: dict[str, float] | None) -> str:
    if agreement is None:
        return "no plain votes of these rows are cached: python -m tests.benchmarks.plain_votes FILE"
    told = ", ".join(
        f"{name} {share:.3f}" for name, share in agreement.items() if name not in ("council", "plain_forests")
    )
    return (
        f"top halves in common with plain scikit-learn there: {told} "
        f"(two plain forests {agreement['plain_forests']:.3f}); selections {agreement['council']:.3f} (Jaccard)"
    )


def main(file: str, n_rows: str = str(N_ROWS), n_columns: str = str(N_COLUMNS)) -> None:
    rows = training_rows(pl.read_parquet(Path(file)))
    voters = measure_voters(sample(rows, int(n_rows), int(n_columns)))
    sys.stdout.write(json.dumps({"voters": asdict(voters), "whole": asdict(measure_whole(rows))}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
