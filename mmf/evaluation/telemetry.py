"""How the gate shares its trust out, what each expert is worth, and whether probabilities mean what they say."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from mmf.calibration import PlattCalibration
from mmf.errors import CallError, LeakError
from mmf.evaluation.bootstrap import interval
from mmf.rows import Rows, TrainingRows

REGIME_COLUMNS = ("hurst_200", "entropy_200")
LEVELS = ("low", "middle", "high")
COLLAPSE_SHARE = 0.95
CNN = "cnn"
CLIP = 1e-15


@dataclass(frozen=True)
class Regimes:
    """Market regimes: tertiles of Hurst exponent and entropy over the training rows.

    Attributes
    ----------
    bounds : mapping of str to tuple of float
        By column, the two values that part its training rows into three equal shares.
    """

    bounds: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, rows: TrainingRows, /) -> Self:
        """Learn the bounds from training rows; undefined values are left out.

        Raises
        ------
        LeakError
            The rows were not admitted to training.
        """
        if not isinstance(rows, TrainingRows):
            raise LeakError("regimes are cut on training rows only. Use Split.training(rows).")
        values = rows.matrix(REGIME_COLUMNS).astype(np.float64)
        cuts = {name: np.nanquantile(values[:, i], (1 / 3, 2 / 3)) for i, name in enumerate(REGIME_COLUMNS)}
        return cls({name: (float(low), float(high)) for name, (low, high) in cuts.items()})

    def masks(self, rows: Rows, /) -> Iterator[tuple[str, np.ndarray]]:
        """Yield each regime's name, such as `hurst_200 low`, and its rows as (n,) bool; undefined ones are in none."""
        for name, (low, high) in self.bounds.items():
            values = rows.matrix((name,))[:, 0]
            members = (values <= low, (values > low) & (values <= high), values > high)
            yield from ((f"{name} {level}", mask) for level, mask in zip(LEVELS, members, strict=True))


def telemetry(predictions: pl.DataFrame, /) -> dict[str, float]:
    """Say how the gate shared its trust out over some rows.

    Parameters
    ----------
    predictions : pl.DataFrame
        What `MoneyMachineTrader.predict` returns.

    Returns
    -------
    dict of str to float
        `share_<expert>`: mean weight. `gating_entropy`: mean entropy of the weights of a row over that of equal
        weights, from 0 (one expert) to 1 (all alike). `cnn_delta_mean`, `cnn_delta_std`: mean and standard deviation
        over the rows of the mixture, before calibration, minus the mixture of the other experts with their weights
        renormalised; only where there is a CNN and another expert.
    """
    mixture = _Mixture.of(predictions)
    figures = {f"share_{name}": float(share) for name, share in zip(mixture.experts, mixture.shares(), strict=True)}
    figures["gating_entropy"] = mixture.entropy()
    if CNN in mixture.experts and len(mixture.experts) > 1:
        delta = mixture.probability() - mixture.without(CNN)
        figures |= {"cnn_delta_mean": float(delta.mean()), "cnn_delta_std": float(delta.std())}
    return figures


def telemetry_by_regime(predictions: pl.DataFrame, rows: Rows, regimes: Regimes, /) -> pl.DataFrame:
    """Return `telemetry` overall and by regime.

    Parameters
    ----------
    predictions : pl.DataFrame
        What `MoneyMachineTrader.predict` returns for `rows`.
    rows : Rows
        The same rows, with the columns of the regimes.
    regimes : Regimes
        From the training rows.

    Returns
    -------
    pl.DataFrame
        One row for each regime that has rows, `all` first: regime, n, the figures of `telemetry`, and collapsed_on:
        the expert with more than 95 % of the weight, null where there is none.
    """
    if len(rows) != predictions.height:
        raise CallError(f"{predictions.height} predictions are not those of {len(rows)} rows.")
    parts = [("all", np.ones(len(rows), bool)), *regimes.masks(rows)]
    lines: list[dict[str, Any]] = []
    for regime, mask in parts:
        if mask.any():
            chosen = predictions.filter(mask)
            figures = telemetry(chosen)
            lines.append({"regime": regime, "n": chosen.height, **figures, "collapsed_on": collapsed_on(figures)})
    return pl.DataFrame(lines, schema_overrides={"collapsed_on": pl.String}, infer_schema_length=None)


def collapsed_on(figures: Mapping[str, float], /) -> str | None:
    """Return the expert to which more than 95 % of the weight goes, if there are several and one of them has it."""
    shares = {name.removeprefix("share_"): share for name, share in figures.items() if name.startswith("share_")}
    top = max(shares, key=lambda name: shares[name])
    return top if len(shares) > 1 and shares[top] > COLLAPSE_SHARE else None


@dataclass(frozen=True, slots=True)
class Uplift:
    """What an expert is worth: by how much log-loss would rise if it were switched off.

    Attributes
    ----------
    expert : str
        Which one.
    n : int
        Labelled rows judged.
    log_loss_with, log_loss_without : float
        Of the mixture, and of the mixture of the others.
    uplift : float
        Without minus with: above zero the expert helps.
    low, high : float
        Interval of the uplift.
    """

    expert: str
    n: int
    log_loss_with: float
    log_loss_without: float
    uplift: float
    low: float
    high: float


def switched_off(
    judged: pl.DataFrame,
    label: np.ndarray,
    /,
    *,
    out_of_fold: pl.DataFrame,
    horizon: int,
    level: float = 0.95,
    n_samples: int = 2_000,
    seed: int = 0,
) -> tuple[Uplift, ...]:
    """Switch each expert off in turn and see what it costs.

    Parameters
    ----------
    judged : pl.DataFrame
        What `MoneyMachineTrader.predict` returns for rows in time order.
    label : np.ndarray
        (n,) labels 0.0, 1.0, or NaN, whose rows are left out.
    out_of_fold : pl.DataFrame
        The trader's `oof_`. Each mixture, with and without the expert, is calibrated on it in the same way: an expert
        that is wary on purpose would otherwise be blamed for what calibration mends.
    horizon : int
        Bars that a label looks ahead. Intervals are of a stationary block bootstrap with mean blocks of twice that.
    level, n_samples, seed
        See `mmf.evaluation.bootstrap.interval`.

    Returns
    -------
    tuple of Uplift
        One for each expert, none where there is only one.
    """
    known = ~np.isnan(label)
    label, told, past = label[known], _Mixture.of(judged.filter(known)), _Mixture.of(out_of_fold)
    if len(told.experts) < 2:
        return ()
    past_label = out_of_fold["label"].to_numpy()

    def losses(past_probability: np.ndarray, probability: np.ndarray) -> np.ndarray:
        return _log_losses(PlattCalibration.fit(past_probability, past_label).apply(probability), label)

    base = losses(past.probability(), told.probability())
    found = []
    for name in told.experts:
        reduced = losses(past.without(name), told.without(name))
        gain = reduced - base
        low, high = interval(
            lambda rows, gain=gain: float(gain[rows].mean()),
            len(gain),
            level=level,
            mean_block=2.0 * horizon,
            n_samples=n_samples,
            seed=seed,
        )
        found.append(Uplift(name, len(gain), float(base.mean()), float(reduced.mean()), float(gain.mean()), low, high))
    return tuple(found)


def reliability(probability: np.ndarray, label: np.ndarray, /, *, n_bins: int = 10) -> pl.DataFrame:
    """Return the reliability curve: how often it happened, by how likely it was said to be.

    Parameters
    ----------
    probability, label : np.ndarray
        (n,) each; rows whose label is NaN are left out.
    n_bins : int
        Bins of equally many rows, by probability; fewer where there are fewer rows. Rows of the same probability may
        fall on both sides of an edge; they stay in their order.

    Returns
    -------
    pl.DataFrame
        One row a bin: mean_predicted, observed_rate, count.
    """
    if n_bins < 1:
        raise CallError(f"{n_bins} bins hold nothing. Use one or more.")
    known = ~np.isnan(label)
    probability, label = probability[known], label[known]
    order = np.argsort(probability, kind="stable")
    bins = [rows for rows in np.array_split(order, n_bins) if len(rows)]
    return pl.DataFrame(
        {
            "mean_predicted": [float(probability[rows].mean()) for rows in bins],
            "observed_rate": [float(label[rows].mean()) for rows in bins],
            "count": [len(rows) for rows in bins],
        },
        schema={"mean_predicted": pl.Float64, "observed_rate": pl.Float64, "count": pl.Int64},
    )


# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Mixture:
    """(n, experts) probabilities and weights."""

    experts: tuple[str, ...]
    told: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, predictions: pl.DataFrame) -> Self:
        experts = tuple(name.removesuffix("_weight") for name in predictions.columns if name.endswith("_weight"))
        if not experts or predictions.is_empty():
            raise CallError("these are no predictions of a trader: they have no rows, or no column `<expert>_weight`.")
        told = predictions.select(f"{name}_probability" for name in experts).to_numpy()
        return cls(experts, told, predictions.select(f"{name}_weight" for name in experts).to_numpy())

    def shares(self) -> np.ndarray:
        return self.weights.mean(axis=0)

    def probability(self) -> np.ndarray:
        return (self.told * self.weights).sum(axis=1)

    def without(self, expert: str) -> np.ndarray:
        """(n,) mixture of the others, their weights renormalised; equal ones where they have none."""
        kept = [i for i, name in enumerate(self.experts) if name != expert]
        weights = np.maximum(self.weights[:, kept], np.finfo(np.float64).tiny)
        return (self.told[:, kept] * weights).sum(axis=1) / weights.sum(axis=1)

    def entropy(self) -> float:
        n = len(self.experts)
        if n == 1:
            return 0.0
        weights = np.maximum(self.weights, np.finfo(np.float64).tiny)
        return float(-(weights * np.log(weights)).sum(axis=1).mean() / np.log(n))


def _log_losses(probability: np.ndarray, label: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(np.where(label == 1, probability, 1 - probability), CLIP))
