"""The verdict where the answer is known: an edge must be called one, and its absence never."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from sklearn.metrics import roc_auc_score

from mmf.bars import Series
from mmf.evaluation.verdict import Verdict, judge_trades
from mmf.features.build import compute_columns
from mmf.features.registry import feature_set
from mmf.labels import make_labels
from mmf.markets.simulated import Edge, MarketConfig, SimulatedMarket
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.dataset import Dataset
from mmf.pipeline.prepare import Prepared
from mmf.pipeline.refine import Refined
from mmf.pipeline.state import TableState
from mmf.pipeline.threshold import choose
from mmf.pipeline.train import fit
from mmf.rows import PHYSICS_TRIO, Rows
from mmf.scheduler import market_state, recommend
from mmf.splits import chronological_split

SYMBOL = "BTCUSDT"
FIRST_DEFINED = 413
TEST_SHARE = 0.5
KINDS: tuple[tuple[Edge, float], ...] = (
    ("none", 0.5),
    ("iid", 0.5),
    ("planted", 0.70),
    ("planted", 0.62),
    ("planted", 0.55),
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
    """One market, what the pipeline made of it, and what the truth itself would have been called.

    Attributes
    ----------
    edge, strength, seed
        Of the market; the strength is its Bayes AUC where an edge is planted.
    verdict : Verdict
        Of the mixture.
    truth : Verdict or None
        Of the generator's own probabilities, traded by the same rules; None where nothing is planted.
    auc : float
        Of the mixture on the judged rows.
    n_judged : int
        Judged bars.
    """

    edge: Edge
    strength: float
    seed: int
    verdict: Verdict
    truth: Verdict | None
    auc: float
    n_judged: int


def main(n_seeds: str = "20", n_bars: str = "35040", test_share: str = str(TEST_SHARE)) -> None:
    """Print how often each market is called what, then the figures market by market."""
    settings = {"n_bars": int(n_bars), "test_share": float(test_share)}
    cases = []
    for edge, strength in KINDS:
        for seed in range(int(n_seeds)):
            cases.append(judged_on(edge, seed, strength=strength, **settings))
            sys.stderr.write(_line(_cells(cases[-1])) + "\n")
    lines = [f"Command: `just study verdict {n_seeds} {n_bars} {test_share}`", "", *_summary(cases), "", *_table(cases)]
    sys.stdout.write("\n".join(lines) + "\n")


def judged_on(
    edge: Edge, seed: int, /, *, strength: float = 0.7, n_bars: int = 35_040, test_share: float = TEST_SHARE
) -> Case:
    """Train the classic experts on a simulated market, trade its judged bars, and judge that."""
    market = MarketConfig(symbols=(SYMBOL,), n_bars=n_bars, edge=edge, strength=strength, seed=seed)
    config = TrainConfig(days=None, lags=(1,), use_tensor_flex=False, test_share=test_share, seed=seed)
    prepared = prepared_from(market, config)
    refined = Refined(COLUMNS)
    trained = fit(prepared, refined, config, recommend(market_state(prepared.training)))
    probability = trained.trader.predict(prepared.judged, history=prepared.dataset.rows)["probability"].to_numpy()
    is_known = ~np.isnan(prepared.judged.label)
    return Case(
        edge=edge,
        strength=strength,
        seed=seed,
        verdict=_traded(prepared, config, probability, trained.thresholds["mixture"]),
        truth=_truth_traded(market, prepared, config) if edge == "planted" else None,
        auc=float(roc_auc_score(prepared.judged.label[is_known], probability[is_known])),
        n_judged=len(prepared.judged),
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
        symbols=(SYMBOL,),
    ).take(np.arange(FIRST_DEFINED, bars.height))
    later = bars[FIRST_DEFINED:].select("open_time", "open", "high", "low", "close")
    dataset = Dataset(series, rows, later, n_cold=0, n_missing_bars=0, first_read_ms=0)
    split = chronological_split(rows, test_share=config.test_share)
    is_judged = rows.open_time_ms >= split.test_start_ms
    n_purged = int((~is_judged & ~np.isnan(rows.label)).sum()) - len(split.train)
    state = TableState(series, "core@v1", 1, COLUMNS, "")
    return Prepared(state, dataset, split.training(rows), rows.take(is_judged), n_purged)


# ------------------------------------------------------------------------------------


def _traded(prepared: Prepared, config: TrainConfig, probability: np.ndarray, threshold: float) -> Verdict:
    times = prepared.judged.open_time_ms
    desks = [desk.between(times) for desk in prepared.desks]
    signals = [np.nan_to_num(desk.aligned(times, probability)) > threshold for desk in desks]
    settings = {"interval": prepared.state.series.grid, "rules": config.rules, "costs": config.costs}
    return judge_trades(desks, signals, **settings, n_trials=1)[0]


def _truth_traded(market: MarketConfig, prepared: Prepared, config: TrainConfig) -> Verdict:
    truth = SimulatedMarket(market).truth(SYMBOL)
    times = truth["open_time"].to_physical().to_numpy()
    known, told = (
        truth["probability"].to_numpy()[np.searchsorted(times, rows.open_time_ms)]
        for rows in (prepared.training, prepared.judged)
    )
    training = prepared.training
    cut = choose(prepared, config, open_time_ms=training.open_time_ms, probability=known, label=training.label)
    return _traded(prepared, config, told, cut.value)


def _summary(cases: Sequence[Case]) -> list[str]:
    heads = ("market", "Bayes AUC", "edge", "inconclusive", "no edge", "truth: edge", "mean AUC", "mean trades")
    lines = [_line(heads), "|" + "---|" * len(heads)]
    for kind in dict.fromkeys((case.edge, case.strength) for case in cases):
        of_kind = [case for case in cases if (case.edge, case.strength) == kind]
        answers = [case.verdict.answer for case in of_kind]
        known = [case.truth.answer for case in of_kind if case.truth is not None]
        cells = (
            kind[0],
            f"{kind[1]:.2f}" if known else "-",
            *(f"{answers.count(answer)} of {len(answers)}" for answer in ("edge", "inconclusive", "no edge")),
            f"{known.count('edge')} of {len(known)}" if known else "-",
            f"{fmean(case.auc for case in of_kind):.3f}",
            f"{fmean(case.verdict.performance.n_trades for case in of_kind):.0f}",
        )
        lines.append(_line(cells))
    return lines


def _table(cases: Sequence[Case]) -> list[str]:
    heads = ("market", "seed", "verdict", "truth", "AUC", "trades", "exposure", "net return", "p", "timing", "judged")
    return [_line(heads), "|" + "---|" * len(heads), *(_line(_cells(case)) for case in cases)]


def _cells(case: Case) -> tuple[str, ...]:
    found, p, timing = case.verdict.performance, case.verdict.p_random, case.verdict.timing
    return (
        case.edge if case.edge != "planted" else f"planted {case.strength:.2f}",
        str(case.seed),
        case.verdict.answer,
        "-" if case.truth is None else case.truth.answer,
        f"{case.auc:.3f}",
        str(found.n_trades),
        f"{found.exposure:.0%}",
        f"{found.net_return:+.1%}",
        "-" if p is None else f"{p:.4f}",
        "-" if timing is None else f"{timing[0]:+.1%} and more",
        str(case.n_judged),
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
