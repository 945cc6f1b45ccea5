"""A small run as it lies in its folder: card and tables, made up but of the right shapes."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from mmf.report.run import RunRecord

N = 240
TRIO = ("hurst_200", "entropy_200", "fdi_200")
MODELS = ("mixture", "trend", "cnn", "base rate", "volatility only")
PERFORMANCE = {
    "n_trades": 3,
    "net_return": 0.021,
    "gross_return": 0.03,
    "annual_return": 0.4,
    "sharpe": 1.234,
    "sortino": 1.5,
    "max_drawdown": -0.051,
    "exposure": 0.45,
    "turnover": 210.0,
    "hit_rate": 2 / 3,
    "mean_trade": 0.007,
    "break_even_cost": 0.0012,
}
VERDICT = {
    "answer": "inconclusive",
    "sentences": ["Inconclusive: so it is.", "3 trades brought +2.1%.", "With 98 % confidence it lies somewhere."],
    "performance": PERFORMANCE,
    "p_random": 0.04,
    "p_adjusted": 0.08,
    "interval": [-0.1, 0.2],
    "timing": [-0.05, 0.14],
    "deflated_sharpe": 0.7,
    "n_trials": 2,
    "overfitting_probability": None,
    "buy_and_hold": 0.11,
}


def card(run_id: str = "20260101T000000-aaaaaa", **changes: Any) -> dict[str, Any]:
    """A run card with all that the page reads."""
    score = {"n": N, "n_effective": 6.7, "base_rate": 0.4, "pr_auc": 0.45, "roc_auc": 0.55, "brier": 0.24}
    rows = {"judged": {"count": N, "first": "2024-01-01 00:00", "last": "2024-01-10 23:00"}, "purged": 36}
    return {
        "run_id": run_id,
        "created_at": "2026-01-01T00:00:00Z",
        "series": "bybit:linear:BTCUSDT:60",
        "table_state": "core@v1@S2",
        "definition_hash": "ab" * 32,
        "config": {
            "seed": 0,
            "lags": [1, 2],
            "label": {"kind": "hurdle", "horizon": 36},
            "costs": {"fee": 0.00055, "slippage": 0.0002},
        },
        "rows": rows,
        "suspicious": [],
        "telemetry": {"share_trend": 0.6, "share_cnn": 0.4},
        "telemetry_by_regime": [{"regime": "all", "n": N, "share_trend": 0.6}],
        "switched_off": [
            {"expert": "trend", "uplift": 0.02, "low": -0.01, "high": 0.05},
            {"expert": "cnn", "uplift": -0.01, "low": -0.02, "high": 0.01},
        ],
        "reliability": [
            {"mean_predicted": 0.2, "observed_rate": 0.3, "count": 120},
            {"mean_predicted": 0.7, "observed_rate": 0.5, "count": 120},
        ],
        "thresholds": {"mixture": 0.55},
        "scores": {name: score | {"log_loss": 0.69} for name in MODELS},
        "hashes": {"predictions": "cd" * 32},
        "environment": {"packages": {"numpy": "2.4.6"}, "python": "3.11.7", "machine": "Linux"},
        "vital_signs": {"total": 1_234_567},
        "verdict": VERDICT,
    } | changes


def tables() -> dict[str, pl.DataFrame]:
    """Every table that a run may have."""
    rng = np.random.default_rng(0)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = pl.datetime_range(start, datetime(2024, 1, 10, 23, tzinfo=UTC), "1h", time_unit="ms", eager=True)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, N)))
    share = rng.uniform(0.2, 0.8, N)
    names = ("rsi_14", "hurst_200")
    return {
        "predictions": pl.DataFrame(
            {
                "open_time": times,
                "close": close,
                "label": (rng.random(N) < 0.4).astype(float),
                "probability": rng.random(N),
                "trend_weight": share,
                "cnn_weight": 1 - share,
            }
        ),
        "market": pl.DataFrame({"open_time": times} | {name: rng.random(N) for name in TRIO}),
        "trades": TRADES,
        "equity": pl.DataFrame(
            {
                "open_time": times,
                "close": close,
                "equity": close / 100,
                "gross": close / 99,
                "drawdown": close / np.maximum.accumulate(close) - 1,
                "position": np.ones(N),
                "buy_and_hold": close / close[0],
            }
        ),
        "threshold_sweep": pl.DataFrame(
            {
                "threshold": [0.4, 0.5, 0.6],
                "n_signals": [90, 60, 20],
                "n_trades": [12, 8, 2],
                "precision": [0.4, 0.5, 0.7],
                "recall": [0.8, 0.5, 0.1],
                "net_return": [-0.02, 0.03, 0.05],
                "sharpe": [-0.5, 0.9, 1.0],
                "is_allowed": [True, True, False],
                "is_chosen": [False, True, False],
            }
        ),
        "cost_sensitivity": pl.DataFrame(
            {"factor": [0.0, 1.0, 3.0], "net_return": [0.03, 0.02, -0.02], "sharpe": [2.0, 1.0, -1.0]}
        ),
        "random_schedules": pl.DataFrame({"net_return": rng.normal(0, 0.01, 500)}),
        "drift": pl.DataFrame(
            {
                "column": names,
                "psi": [0.05, 0.4],
                "ks": [0.1, 0.3],
                "mean_training": [50.0, 0.5],
                "mean_judged": [51.0, 0.6],
                "std_training": [10.0, 0.05],
            }
        ),
        "council_votes": pl.DataFrame(
            {
                "column": ["rsi_14", "rsi_14_lag_1", "hurst_200", "hurst_200_lag_1"],
                "base": ["rsi_14", "rsi_14", "hurst_200", "hurst_200"],
                "lag": [0, 1, 0, 1],
                "count_votes": [3, 2, 1, 0],
                "is_selected": [True, True, False, False],
                "mean_rank": [1.0, 2.0, 3.0, 4.0],
            }
        ),
        "epochs": pl.DataFrame(
            {
                "expert": ["cnn"] * 4,
                "fit": ["out of fold"] * 3 + ["all rows"],
                "epoch": [1, 2, 3, 1],
                "n_updates": [4] * 4,
                "loss": [0.69, 0.6, 0.5, 0.68],
                "validation_loss": [0.68, 0.67, 0.8, None],
            }
        ),
        "trials": pl.DataFrame(
            {
                "run_id": ["20250101T000000-ffffff", "20260101T000000-aaaaaa"],
                "created_at": ["2025-01-01", "2026-01-01"],
                "pr_auc": [0.41, 0.45],
                "net_return": [-0.1, 0.021],
                "sharpe": [-1.0, 1.2],
            }
        ),
        "score_intervals": pl.DataFrame(
            {"model": MODELS, "score": ["pr_auc"] * 5, "value": [0.45] * 5, "low": [0.35] * 5, "high": [0.6] * 5}
        ),
        "folds": pl.DataFrame({"pr_auc": [0.4, 0.5], "base_rate": [0.4] * 2, "net_return": [-0.01, 0.02]}),
        "combinations": pl.DataFrame({"pr_auc": [0.38, 0.41, 0.44, 0.47], "base_rate": [0.4] * 4}),
        "noise_floor": pl.DataFrame(
            {
                "kind": ["martingale", "martingale", "iid", "iid"],
                "seed": [0, 1, 0, 1],
                "pr_auc": [0.4, 0.42, 0.38, 0.43],
                "roc_auc": [0.5, 0.52, 0.48, 0.56],
                "net_return": [-0.02, 0.0, -0.01, 0.01],
            }
        ),
        "audit": pl.DataFrame(
            {
                "check_name": ["a", "b", "c"],
                "status": ["pass", "skipped", "fail"],
                "finding": ["all hold", "no bars", "one reads ahead"],
            }
        ),
        "clusters": pl.DataFrame(
            {
                "cluster": [0, 1],
                "size": [2, 1],
                "representative": ["rsi_14", "roc_5"],
                "alpha": [0.5, 0.25],
                "cross_before": [0.3, 0.3],
                "cross_after": [0.1, 0.1],
                "intra_before": [0.9, None],
                "intra_after": [0.8, None],
                "variance_left": [0.6, 0.9],
                "explained_variance": [0.9, 1.0],
                "n_latents": [1, 1],
                "n_stable": [0, 1],
            }
        ),
        "members": pl.DataFrame({"column": ["rsi_14", "rsi_14_lag_1", "roc_5"], "cluster": [0, 0, 1]}),
        "latents": pl.DataFrame(
            {
                "latent": ["latent_00_1", "latent_01_1"],
                "explained_variance": [0.9, 1.0],
                "alignment": [0.1, -0.3],
                "stability": [0.2, 0.9],
                "is_stable": [False, True],
            }
        ),
        "loadings": pl.DataFrame(
            {
                "latent": ["latent_00_1", "latent_01_1"],
                "base": ["rsi_14", "roc_5"],
                "correlation": [0.9, 1.0],
                "is_member": [True, True],
            }
        ),
    }  # fmt: skip


TRADES = pl.DataFrame(
    {
        "entry_time": [datetime(2024, 1, day, tzinfo=UTC) for day in (2, 4, 7)],
        "exit_time": [datetime(2024, 1, day, 12, tzinfo=UTC) for day in (3, 5, 8)],
        "entry": [100.0, 101.0, 99.0],
        "exit": [102.0, 100.0, 101.0],
        "funding": [0.0, 0.0, 0.0],
        "net_return": [0.02, -0.01, 0.02],
        "reason": ["horizon", "stop", "horizon"],
    }
)


def record(**changes: Any) -> RunRecord:
    """A run with every table; `changes` go into its card."""
    return RunRecord(card(**changes), tables(), {})
