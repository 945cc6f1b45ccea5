"""Experts where the answer is known: an edge must be found, and noise must look like noise, expert by expert."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from mmf.bars import Series
from mmf.features.registry import feature_set
from mmf.markets.simulated import Edge, MarketConfig, SimulatedMarket, SimulatedSource
from mmf.pipeline.build import build_features
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.ingest import ingest
from mmf.pipeline.stages import RunResult
from mmf.pipeline.state import resolve_state
from mmf.pipeline.train import train
from warehouse import Warehouse

SYMBOL = "BTCUSDT"
N_SHIFTS = 400
KINDS: tuple[tuple[Edge, float], ...] = (("iid", 0.7), ("planted", 0.7))


@dataclass(frozen=True)
class Case:
    """One run on one market.

    Attributes
    ----------
    edge, seed
        Of the market.
    out_of_fold : dict of str to float
        AUC of each expert and of each model within one, on training rows that it had not been fitted on.
    judged : dict of str to float
        AUC on the judged rows: the mixture, each expert alone, the baselines.
    bayes : float or None
        AUC of the generator's own probabilities on the same rows; None without an edge.
    pr_auc, band : float, tuple of float
        PR-AUC of the mixture on the judged rows, and between what 95 % of the same predictions lie on labels that
        are shifted in time.
    """

    edge: Edge
    seed: int
    out_of_fold: dict[str, float]
    judged: dict[str, float]
    bayes: float | None
    pr_auc: float
    band: tuple[float, float]


def main(n_seeds: str = "10", n_bars: str = "17520") -> None:
    """Print two tables, seed by seed, with their means."""
    cases = [
        run_on(edge, seed, strength=strength, n_bars=int(n_bars))
        for edge, strength in KINDS
        for seed in range(int(n_seeds))
    ]
    sys.stdout.write(f"Command: `just study experts {n_seeds} {n_bars}`\n")
    for edge, _ in KINDS:
        sys.stdout.write("\n" + "\n".join(_table([case for case in cases if case.edge == edge])) + "\n")


def run_on(edge: Edge, seed: int, /, *, strength: float = 0.7, n_bars: int = 17_520, features: str = "core") -> Case:
    """Do the whole run on a simulated market, and compare it with what the generator knows."""
    market = MarketConfig(symbols=(SYMBOL,), n_bars=n_bars, edge=edge, strength=strength, seed=seed)
    with tempfile.TemporaryDirectory() as folder, Warehouse.open(Path(folder) / "w", create=True) as warehouse:
        series = Series("simulated", "linear", SYMBOL, market.interval)
        ingest(warehouse, SimulatedSource(market), series)
        build_features(warehouse, series, feature_set(features))
        config = TrainConfig(feature_set=features, days=None, seed=seed)
        result = train(warehouse, resolve_state(warehouse, series, features), config)
    oof = result.trained.trader.oof_
    label = oof["label"].to_numpy()
    opinions = [name for name in oof.columns if name.endswith("_probability")]
    judged = {name: scores.roc_auc for name, scores in result.judged.scores.items() if scores.roc_auc is not None}
    return Case(
        edge=edge,
        seed=seed,
        out_of_fold={name.removesuffix("_probability"): _auc(oof[name].to_numpy(), label) for name in opinions},
        judged=judged,
        bayes=_bayes(market, result) if edge == "planted" else None,
        pr_auc=float(result.judged.scores["mixture"].pr_auc or np.nan),
        band=_noise_band(result),
    )


# ------------------------------------------------------------------------------------


def _auc(probability: np.ndarray, label: np.ndarray) -> float:
    return float(roc_auc_score(label, probability))


def _bayes(market: MarketConfig, result: RunResult) -> float:
    truth = SimulatedMarket(market).truth(SYMBOL).rename({"probability": "truth"})
    rows = result.judged.predictions.drop_nulls("label").join(truth, on="open_time")
    return _auc(rows["truth"].to_numpy(), rows["label"].to_numpy())


def _noise_band(result: RunResult) -> tuple[float, float]:
    """Shifts keep what labels that overlap, and probabilities that do too, owe to chance."""
    rows = result.judged.predictions.drop_nulls("label")
    probability, label = rows["probability"].to_numpy(), rows["label"].to_numpy()
    horizon = result.config.label.horizon
    shifts = np.linspace(2 * horizon, len(label) - 2 * horizon, N_SHIFTS).astype(int)
    drawn = [average_precision_score(np.roll(label, int(shift)), probability) for shift in shifts]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def _table(cases: Sequence[Case]) -> list[str]:
    oof, judged = list(cases[0].out_of_fold), list(cases[0].judged)
    heads = ["seed", *(f"oof {name}" for name in oof), *judged, "Bayes", "PR-AUC", "noise band"]
    lines = [f"AUC on `--edge {cases[0].edge}`:", "", _line(heads), "|" + "---|" * len(heads)]
    lines += [
        _line([str(case.seed), *(f"{x:.3f}" for x in _figures(case)), f"{case.band[0]:.3f} to {case.band[1]:.3f}"])
        for case in cases
    ]
    means = [fmean(column) for column in zip(*(_figures(case) for case in cases), strict=True)]
    n_within = sum(case.band[0] <= case.pr_auc <= case.band[1] for case in cases)
    return [*lines, _line(["mean", *(f"{x:.3f}" for x in means), f"{n_within} of {len(cases)} within"])]


def _figures(case: Case) -> list[float]:
    bayes = float("nan") if case.bayes is None else case.bayes
    return [*case.out_of_fold.values(), *case.judged.values(), bayes, case.pr_auc]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
