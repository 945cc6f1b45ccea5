"""Selection where the answer is known: planted columns must pass and survive, and noise must look like noise."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from statistics import fmean

import numpy as np
from sklearn.base import clone

from mmf.alpha_council import AlphaCouncil
from mmf.alpha_council.noise import noise_check
from mmf.bars import Interval
from mmf.features.build import compute_columns
from mmf.features.registry import feature_set
from mmf.impute import MedianImputer
from mmf.labels import LabelConfig, make_labels
from mmf.markets.simulated import Edge, MarketConfig, SimulatedMarket
from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows
from mmf.splits import chronological_split
from mmf.tensor_flex import TensorFlex

FIRST_DEFINED = 413
N_TURNS = 3
KINDS: tuple[tuple[str, Edge], ...] = (("core", "planted"), ("core", "iid"), ("core_stationary", "iid"))
SHOWS_THE_EDGE = 0.7  # correlation with the true probability from which a column counts as planted


@dataclass(frozen=True)
class Case:
    """One market, selected from.

    Attributes
    ----------
    features : str
        Feature set offered; lags are copies and left out.
    edge, seed
        Of the market.
    n_columns, n_selected : int
        Columns offered, and those that pass the council.
    n_planted, n_planted_selected, n_planted_refined : int
        Columns that show the true probability of the label; of them those that pass; of these those whose cluster
        has a stable latent.
    n_above, mean_above_shifted, share_as_many : int, float, float
        Columns above the noise by two voters on the label, on shifted labels, and how many labels have as many.
    n_stable, mean_stable_shifted : int, float
        Stable latents of the columns selected, on the label and on shifted labels, council and all: columns that a
        label has chosen flatter it, so that a refinery alone on a shifted label would be no match.
    told : float or None
        Squared correlation of the true probability with its regression on the stable latents, on rows after the
        training rows; None without a stable latent or a planted edge.
    """

    features: str
    edge: Edge
    seed: int
    n_columns: int
    n_selected: int
    n_planted: int
    n_planted_selected: int
    n_planted_refined: int
    n_above: int
    mean_above_shifted: float
    share_as_many: float
    n_stable: int
    mean_stable_shifted: float
    told: float | None


def main(n_seeds: str = "5", n_bars: str = "17520") -> None:
    """Print the table, case by case, and its means."""
    cases = [
        select_from(edge, seed, features=features, n_bars=int(n_bars))
        for features, edge in KINDS
        for seed in range(int(n_seeds))
    ]
    lines = [f"Command: `just study selection {n_seeds} {n_bars}`", "", *_table(cases)]
    sys.stdout.write("\n".join(lines) + "\n")


def select_from(
    edge: Edge,
    seed: int,
    /,
    *,
    features: str = "core",
    families: Sequence[str] | None = None,
    n_bars: int = 17_520,
    n_shifts: int = 19,
) -> Case:
    """Run council, noise check and refinery on the training rows of a simulated market.

    Parameters
    ----------
    edge, seed, n_bars
        Of the market.
    features : str
        Feature set to offer.
    families : sequence of str, optional
        Families of it, beside the trio; all where not given.
    n_shifts : int
        Shifted labels of the noise check.
    """
    training, judged, truth = market_rows(edge, seed, features=features, families=families, n_bars=n_bars)
    council = AlphaCouncil(seed=seed).fit_rows(training)
    check = noise_check(training, n_shifts=n_shifts, seed=seed)
    above = check.counts.filter(rule="above_noise", min_votes=2).row(0, named=True)
    flex = TensorFlex(n_shifts=0).fit_rows(training.select(council.selected_))
    planted = _planted(training, truth) if edge == "planted" else set()
    refined = flex.members_.join(flex.clusters_.filter(n_stable=0), on="cluster", how="anti")["column"]
    return Case(
        features=features,
        edge=edge,
        seed=seed,
        n_columns=len(training.columns),
        n_selected=len(council.selected_),
        n_planted=len(planted),
        n_planted_selected=len(planted & set(council.selected_)),
        n_planted_refined=len(planted & set(refined)),
        n_above=above["count_label"],
        mean_above_shifted=above["mean_shifted"],
        share_as_many=above["share_as_many"],
        n_stable=_n_stable(flex),
        mean_stable_shifted=fmean(_stable_on_shifted(council, training)),
        told=_told(flex, training, judged, truth) if planted else None,
    )


def market_rows(
    edge: Edge, seed: int, /, *, n_bars: int, features: str = "core", families: Sequence[str] | None = None
) -> tuple[TrainingRows, Rows, np.ndarray]:
    """Training rows without undefined values, the later rows, and the true probability of all of them in order."""
    market = SimulatedMarket(MarketConfig(seed=seed, edge=edge, n_bars=n_bars))
    bars = market.bars("BTCUSDT")
    chosen = feature_set(features)
    offered = [f.name for f in chosen.features if families is None or f.family in families or f.name in PHYSICS_TRIO]
    columns = compute_columns(chosen, bars, n_own=bars.height)
    label = make_labels(bars, interval=Interval("60"), config=LabelConfig())
    x = np.column_stack([columns[name] for name in offered]).astype(np.float32)
    rows = Rows(
        open_time_ms=bars["open_time"].to_physical().to_numpy(),
        x=x,
        columns=tuple(offered),
        label=label["label"].to_numpy(),
        label_end_ms=label["label_end"].to_physical().to_numpy(),
    ).take(np.arange(FIRST_DEFINED, bars.height))
    split = chronological_split(rows)
    training, judged = split.training(rows), split.testing(rows)
    imputer = MedianImputer().fit_rows(training)
    truth = market.truth("BTCUSDT")["probability"].to_numpy()[FIRST_DEFINED:]
    return *(replace(part, x=imputer.transform(part.x)) for part in (training, judged)), np.append(
        truth[split.train], truth[split.test]
    )


# ------------------------------------------------------------------------------------


def _n_stable(flex: TensorFlex) -> int:
    return int(flex.latents_["is_stable"].sum())


def _stable_on_shifted(council: AlphaCouncil, training: TrainingRows) -> Iterator[int]:
    """Stable latents where council and refinery see a label shifted in time."""
    for turn in range(1, N_TURNS + 1):
        shifted = replace(training, label=np.roll(training.label, turn * len(training) // (N_TURNS + 1)))
        selected = clone(council).fit_rows(shifted).selected_
        yield _n_stable(TensorFlex(n_shifts=0).fit_rows(shifted.select(selected)))


def _planted(training: TrainingRows, truth: np.ndarray) -> set[str]:
    """Columns that show the true probability."""
    known = truth[: len(training)]
    return {
        name
        for name, column in zip(training.columns, training.x.T, strict=True)
        if column.std() > 0 and abs(np.corrcoef(column, known)[0, 1]) >= SHOWS_THE_EDGE
    }


def _told(flex: TensorFlex, training: TrainingRows, judged: Rows, truth: np.ndarray) -> float | None:
    n_bypassed = len(flex.bypass)
    known, later = (flex.transform_rows(rows).x[:, n_bypassed:].astype(np.float64) for rows in (training, judged))
    if known.shape[1] == 0:
        return None
    design, check = (np.column_stack([np.ones(len(part)), part]) for part in (known, later))
    weights, *_ = np.linalg.lstsq(design, truth[: len(known)], rcond=None)
    return float(np.corrcoef(check @ weights, truth[len(known) :])[0, 1] ** 2)


HEADS = (
    "features",
    "edge",
    "seed",
    "columns",
    "selected",
    "planted",
    "of them selected",
    "and refined",
    "above noise",
    "on shifted",
    "as many",
    "stable latents",
    "on shifted",
    "truth told",
)


def _table(cases: Sequence[Case]) -> list[str]:
    lines = [f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS)]
    for kind in dict.fromkeys((case.features, case.edge) for case in cases):
        of_kind = [case for case in cases if (case.features, case.edge) == kind]
        lines += [_line([_cell(getattr(case, f.name)) for f in fields(Case)]) for case in of_kind]
        means = [_mean([getattr(case, f.name) for case in of_kind]) for f in fields(Case)[3:]]
        lines.append(_line([*kind, "mean", *means]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{fmean(known):.2f}" if known else "-"
