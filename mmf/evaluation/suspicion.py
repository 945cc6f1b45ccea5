"""Results too good to be true: columns that know the future, and scores that no honest model has."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from mmf.errors import CallError, DataError
from mmf.evaluation.baselines import VOLATILITY_COLUMNS
from mmf.evaluation.scores import Scores
from mmf.features.lags import split_lag
from mmf.impute import MedianImputer
from mmf.rows import TrainingRows

LABEL_LIMIT = 0.72
NEXT_BAR_LIMIT = 0.60
ABOVE_VOLATILITY = 0.05
STANDARD_ERRORS = 3.0
N_BLOCKS = 20
MIN_ROWS = 200
RETURN_COLUMN = "log_return"

Against = Literal["label", "next bar"]


@dataclass(frozen=True)
class Finding:
    """Something to look into before a result is believed.

    Attributes
    ----------
    subject : str
        The column or the model.
    against : {"label", "next bar"}
        What it foretells: `label`, or `next bar` (whether it rises).
    auc : float
        0.5..1, whichever way the column points.
    at_least : float
        The same less three standard errors.
    limit : float
        What `at_least` exceeds.
    also : tuple of str
        Other columns of the same base feature above the limit.
    """

    subject: str
    against: Against
    auc: float
    at_least: float
    limit: float
    also: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """What is wrong, and what to do."""
        target = "the label" if self.against == "label" else "whether the next bar rises"
        return (
            f"{self.subject} tells {target} with an AUC of {self.auc:.2f}, at least {self.at_least:.2f}. Honest "
            f"features and models stay below {self.limit:.2f}: it may know the future. Check with `mmf features audit`."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON types."""
        return asdict(self) | {"also": list(self.also), "reason": self.reason}


def suspicious_columns(rows: TrainingRows, /) -> list[Finding]:
    """Find single columns that tell more of the future than a real feature can.

    Parameters
    ----------
    rows : TrainingRows
        n rows of one symbol; NaN counts as the column's median.

    Returns
    -------
    list of Finding
        One for each base feature and thing foretold, the most certain first.

    Notes
    -----
    Each column is asked two things: the label, and whether the next bar rises (where `log_return` is among the
    columns). The second finds what the first cannot: the return of the next bar alone, leaked, has an AUC of 0.58
    against a label 36 bars ahead, no more than honest columns have, and 1.00 against the next bar. Future returns
    over 1 to 9 bars are found by the next bar, from 12 on by the label.

    The AUC must exceed its limit by three standard errors. They come from the means of 20 blocks in time of DeLong's
    parts, so that slow columns and overlapping labels are not taken for certainty.

    Limits: of the 195 columns on nine real series (two years of 60m bars and as many rows from 1m to a day) none has
    more than 0.69 against the label, less three standard errors 0.60 (at 60m 0.57 and 0.52), and 0.58 against the
    next bar, less errors 0.56; at 1m, where a rise of 0.5 % asks for a wild hour, a volatility column has 0.79. So
    where the volatility columns tell the label, the limit lies 0.05 above what they tell. On simulated markets with a
    planted Bayes AUC of 0.70 single columns reach 0.75 by luck, less three standard errors 0.69.

    A leak that is drowned in noise passes, and so does one that tells volatility only.

    References
    ----------
    E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Comparing the Areas under Two or More Correlated Receiver
    Operating Characteristic Curves, Biometrics 44(3), 1988.

    Raises
    ------
    CallError
        `rows` are not TrainingRows.
    DataError
        There are fewer than 200.
    """
    if not isinstance(rows, TrainingRows):
        raise CallError(f"columns are judged on TrainingRows, got {type(rows).__name__}. Use TrainingRows.of.")
    if len(rows) < MIN_ROWS:
        raise DataError(f"{len(rows)} training rows are too few to judge a column; {MIN_ROWS} are needed.")
    x = rows.x if np.isfinite(rows.x).all() else MedianImputer().fit_rows(rows).transform(rows.x)
    places = np.array([_places(column) for column in x.T], np.float32)
    findings = _findings(rows.columns, places, rows.label, "label", _label_limit(rows, places))
    if RETURN_COLUMN in rows.columns:
        is_followed, rises = _next_bar(rows)
        findings += _findings(rows.columns, places[:, is_followed], rises, "next bar", NEXT_BAR_LIMIT)
    return sorted(findings, key=lambda finding: (-finding.at_least, finding.subject, finding.against))


def suspicious_scores(scores: Mapping[str, Scores], /, *, baseline: str = "volatility only") -> list[Finding]:
    """Find models whose ROC-AUC is beyond what an honest one has.

    Parameters
    ----------
    scores : mapping of str to Scores
        By model; the baseline, where present, raises the limit to 0.05 above its own AUC.

    Notes
    -----
    The standard error is that of Hanley and McNeil with the number of independent outcomes (rows over horizon) in
    place of rows; an AUC must exceed the limit by three.

    References
    ----------
    J. A. Hanley, B. J. McNeil, The Meaning and Use of the Area under a ROC Curve, Radiology 143(1), 1982.
    """
    limit = LABEL_LIMIT
    if baseline in scores and (told := scores[baseline].roc_auc) is not None:
        limit = max(limit, told + ABOVE_VOLATILITY)
    findings = []
    for name, of in scores.items():
        if of.roc_auc is None or of.base_rate is None:
            continue
        at_least = of.roc_auc - STANDARD_ERRORS * _hanley_mcneil(of.roc_auc, of.n_effective, of.base_rate)
        if at_least > limit:
            findings.append(Finding(name, "label", of.roc_auc, at_least, limit))
    return findings


# ------------------------------------------------------------------------------------


def _places(column: np.ndarray) -> np.ndarray:
    """Place of each value among all, 0..1, equal ones sharing one."""
    order = np.argsort(column)
    ascending = column[order]
    is_new = np.append(True, ascending[1:] != ascending[:-1])
    ends = np.append(np.flatnonzero(is_new), len(column))
    places = np.empty(len(column))
    places[order] = ((ends[:-1] + ends[1:]) / (2 * len(column)))[np.cumsum(is_new) - 1]
    return places


def _label_limit(rows: TrainingRows, places: np.ndarray) -> float:
    volatility = [j for j, name in enumerate(rows.columns) if name in VOLATILITY_COLUMNS]
    told = 0.5 + np.abs(_auc(places[volatility], rows.label) - 0.5).max(initial=0.0)
    return max(LABEL_LIMIT, float(told) + ABOVE_VOLATILITY)


def _next_bar(rows: TrainingRows) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose next row is the next bar, and whether that bar rises."""
    steps = np.diff(rows.open_time_ms)
    is_followed = np.append(steps == steps.min(), False)
    returns = rows.matrix((RETURN_COLUMN,))[:, 0]
    return is_followed, (returns[np.flatnonzero(is_followed) + 1] > 0).astype(np.float64)


def _auc(places: np.ndarray, label: np.ndarray) -> np.ndarray:
    """AUC of each of (p, n) columns of places; 0.5 where the label is of one class."""
    base_rate = label.mean()
    spread = len(label) * base_rate * (1 - base_rate)
    products = (places - places.mean(axis=1, keepdims=True)) @ (label - base_rate).astype(np.float32)
    return 0.5 + products.astype(np.float64) / max(spread, 1.0)


def _standard_error(places: np.ndarray, label: np.ndarray) -> float:
    """Of the AUC of one column: DeLong's parts of each row, their means taken over blocks in time."""
    ones = np.sort(places[label == 1])
    zeros = np.sort(places[label == 0])
    below_one, above_zero = _share_below(zeros, places), 1 - _share_below(ones, places)
    auc = below_one[label == 1].mean()
    base_rate = label.mean()
    parts = np.where(label == 1, (below_one - auc) / base_rate, (above_zero - auc) / (1 - base_rate))
    means = [block.mean() for block in np.array_split(parts, N_BLOCKS)]
    return float(np.std(means, ddof=1) / np.sqrt(N_BLOCKS))


def _share_below(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Share of the ascending numbers below each value, equal ones counting half."""
    below, upto = (np.searchsorted(ascending, values, side=side) for side in ("left", "right"))
    return (below + upto) / (2 * len(ascending))


def _findings(
    columns: Sequence[str], places: np.ndarray, label: np.ndarray, against: Against, limit: float
) -> list[Finding]:
    """The columns above the limit, those of one base feature together."""
    auc = 0.5 + np.abs(_auc(places, label) - 0.5)
    at_least = {
        j: float(auc[j]) - STANDARD_ERRORS * _standard_error(places[j], label)
        for j in np.flatnonzero(auc > limit).tolist()
    }
    families: dict[str, list[int]] = {}
    for j in sorted(at_least, key=lambda j: (-at_least[j], columns[j])):
        if at_least[j] > limit:
            families.setdefault(split_lag(columns[j])[0], []).append(j)
    return [
        Finding(columns[j], against, float(auc[j]), at_least[j], limit, tuple(columns[k] for k in others))
        for j, *others in families.values()
    ]


def _hanley_mcneil(auc: float, n: float, base_rate: float) -> float:
    """Standard error of an AUC over n independent outcomes."""
    ones, zeros = max(n * base_rate, 1.0), max(n * (1 - base_rate), 1.0)
    both_ones, both_zeros = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = (ones - 1) * (both_ones - auc**2) + (zeros - 1) * (both_zeros - auc**2)
    return float(np.sqrt(max(0.0, auc * (1 - auc) + spread) / (ones * zeros)))
