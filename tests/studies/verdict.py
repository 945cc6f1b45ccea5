"""The verdict where the answer is known: an edge must be called one, and its absence never."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from sklearn.metrics import roc_auc_score

from mmf.bars import Series
from mmf.evaluation.trials import Ledger
from mmf.evaluation.verdict import Verdict
from mmf.features.build import compute_columns
from mmf.features.registry import feature_set
from mmf.labels import make_labels
from mmf.markets.simulated import Edge, MarketConfig, SimulatedMarket
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.dataset import Dataset
from mmf.pipeline.judge import judge
from mmf.pipeline.prepare import Prepared
from mmf.pipeline.refine import Refined
from mmf.pipeline.state import TableState
from mmf.pipeline.trading import trade
from mmf.pipeline.train import fit
from mmf.rows import PHYSICS_TRIO, Rows
from mmf.scheduler import market_state, recommend
from mmf.splits import chronological_split

SYMBOL = "BTCUSDT"
FIRST_DEFINED = 413
KINDS: tuple[tuple[Edge, float], ...] = (
    ("none", 0.5),
    ("iid", 0.5),
    ("planted", 0.55),
    ("planted", 0.62),
    ("planted", 0.70),
)
COLUMNS = (
    *PHYSICS_TRIO,
    "log_return",
    "volatility_20",
    "volatility_100",
    "volatility_200",
    *(f"{name}_{window}" for name in ("roc", "rsi", "ema_dist") for window in (8, 14, 21, 55, 144)),
    "natr_14",
    "zscore_50",
)


@dataclass(frozen=True)
class Case:
    """One market and its verdict.

    Attributes
    ----------
    edge, strength, seed
        Of the market; the strength is its Bayes AUC where an edge is planted.
    verdict : Verdict
        What the pipeline made of it.
    auc : float
        Of the mixture on the judged rows.
    n_judged : int
        Judged bars.
    """

    edge: Edge
    strength: float
    seed: int
    verdict: Verdict
    auc: float
    n_judged: int


def main(n_seeds: str = "20", n_bars: str = "17520") -> None:
    """Print how often each market is called what, then the figures market by market."""
    cases = [
        judged_on(edge, seed, strength=strength, n_bars=int(n_bars))
        for edge, strength in KINDS
        for seed in range(int(n_seeds))
    ]
    lines = [f"Command: `just study verdict {n_seeds} {n_bars}`", "", *_summary(cases), "", *_table(cases)]
    sys.stdout.write("\n".join(lines) + "\n")


def judged_on(edge: Edge, seed: int, /, *, strength: float = 0.7, n_bars: int = 17_520) -> Case:
    """Train the classic experts on a simulated market, trade its judged bars, and judge that."""
    market = MarketConfig(symbols=(SYMBOL,), n_bars=n_bars, edge=edge, strength=strength, seed=seed)
    config = TrainConfig(days=None, lags=(1,), use_tensor_flex=False, seed=seed)
    prepared = prepared_from(market, config)
    refined = Refined(COLUMNS)
    trained = fit(prepared, refined, config, recommend(market_state(prepared.training)))
    judged = judge(prepared, refined, trained, config)
    traded = trade(prepared, trained, judged, config, ledger=Ledger(), predictions_hash="")
    known = judged.predictions.drop_nulls("label")
    return Case(
        edge=edge,
        strength=strength,
        seed=seed,
        verdict=traded.verdict,
        auc=float(roc_auc_score(known["label"].to_numpy(), known["probability"].to_numpy())),
        n_judged=judged.predictions.height,
    )


def prepared_from(market: MarketConfig, config: TrainConfig, /) -> Prepared:
    """Do the first stage of a run without a warehouse: the bars are computed, not read."""
    bars = SimulatedMarket(market).bars(SYMBOL)
    series = Series("simulated", "linear", SYMBOL, market.interval)
    columns = compute_columns(feature_set("core"), bars, n_own=bars.height)
    label = make_labels(bars, interval=series.grid, config=config.label)
    rows = Rows(
        open_time_ms=bars["open_time"].to_physical().to_numpy(),
        x=np.column_stack([columns[name] for name in COLUMNS]).astype(np.float32),
        columns=COLUMNS,
        label=label["label"].to_numpy(),
        label_end_ms=label["label_end"].to_physical().to_numpy(),
    ).take(np.arange(FIRST_DEFINED, bars.height))
    later = bars[FIRST_DEFINED:].select("open_time", "open", "high", "low", "close")
    dataset = Dataset(series, rows, later, n_cold=0, n_missing_bars=0, first_read_ms=0)
    split = chronological_split(rows, test_share=config.test_share)
    is_judged = rows.open_time_ms >= split.test_start_ms
    n_purged = int((~is_judged & ~np.isnan(rows.label)).sum()) - len(split.train)
    state = TableState(series, "core@v1", 1, COLUMNS, "")
    return Prepared(state, dataset, split.training(rows), rows.take(is_judged), n_purged)


# ------------------------------------------------------------------------------------


def _summary(cases: Sequence[Case]) -> list[str]:
    heads = ("market", "Bayes AUC", "edge", "inconclusive", "no edge", "mean AUC", "mean net return", "mean trades")
    lines = [_line(heads), "|" + "---|" * len(heads)]
    for kind in dict.fromkeys((case.edge, case.strength) for case in cases):
        of_kind = [case for case in cases if (case.edge, case.strength) == kind]
        answers = [case.verdict.answer for case in of_kind]
        found = [case.verdict.performance for case in of_kind]
        lines.append(
            _line(
                (
                    kind[0],
                    f"{kind[1]:.2f}" if kind[0] == "planted" else "-",
                    *(f"{answers.count(answer)} of {len(answers)}" for answer in ("edge", "inconclusive", "no edge")),
                    f"{fmean(case.auc for case in of_kind):.3f}",
                    f"{fmean(one.net_return for one in found):+.1%}",
                    f"{fmean(one.n_trades for one in found):.0f}",
                )
            )
        )
    return lines


def _table(cases: Sequence[Case]) -> list[str]:
    heads = ("market", "seed", "verdict", "AUC", "trades", "exposure", "net return", "low", "p", "judged bars")
    return [_line(heads), "|" + "---|" * len(heads), *(_line(_cells(case)) for case in cases)]


def _cells(case: Case) -> tuple[str, ...]:
    found, p, bounds = case.verdict.performance, case.verdict.p_random, case.verdict.interval
    return (
        case.edge if case.edge != "planted" else f"planted {case.strength:.2f}",
        str(case.seed),
        case.verdict.answer,
        f"{case.auc:.3f}",
        str(found.n_trades),
        f"{found.exposure:.0%}",
        f"{found.net_return:+.1%}",
        "-" if bounds is None else f"{bounds[0]:+.1%}",
        "-" if p is None else f"{p:.4f}",
        str(case.n_judged),
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
