"""False discoveries: what the council finds in labels shifted in time, of which the columns can tell nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import polars as pl

from mmf.alpha_council.forest import forest_importance
from mmf.alpha_council.mutual_information import mutual_information
from mmf.alpha_council.ranking import anova_f, n_top, rank, standardise
from mmf.errors import CallError, DataError, LeakError
from mmf.features.lags import split_lag
from mmf.rows import TrainingRows

VOTERS = ("linear", "forest", "mutual")
MAX_DEPTH = 8
N_TREES = 40
LEVEL = 0.05  # share of labels with as many from which a count is rare

OnProgress = Callable[[float], None]


@dataclass(frozen=True)
class NoiseCheck:
    """What passes on the label, and on labels of which the columns can tell nothing.

    Attributes
    ----------
    n_shifts : int
        Shifted labels.
    columns : pl.DataFrame
        One row for each column and voter, in the order of names and of voters: column, base, lag, voter, score,
        noise (the highest score on a shifted label), is_above (score > noise).
    counts : pl.DataFrame
        One row for each rule and number of voters: rule, min_votes, count_label (columns that pass on the label),
        mean_shifted, max_shifted (columns that pass on a shifted label), share_as_many (of all labels, the label
        among them, on which as many pass: a p value), false_discovery (mean_shifted / count_label, at most 1; null
        where nothing passes). Rules:

        - `top_share`: the council's own, ranks within the top share.
        - `above_noise`: the score is above that on every shifted label, for a shifted one on every other.
    """

    n_shifts: int
    columns: pl.DataFrame
    counts: pl.DataFrame

    @property
    def chance(self) -> float:
        """Share of the columns that are above the noise of a voter where there is nothing to find."""
        return 1 / (self.n_shifts + 1)

    @property
    def sentence(self) -> str:
        """What the check says of columns above the noise of two voters, for people."""
        row = self.counts.row(by_predicate=(pl.col("rule") == "above_noise") & (pl.col("min_votes") == 2), named=True)
        share = row["share_as_many"]
        ending = "chance gives that rarely" if share <= LEVEL else "so chance gives that too"
        return (
            f"{row['count_label']:,} columns are above the noise of two voters, on shifted labels "
            f"{row['mean_shifted']:,.0f} in the mean and {row['max_shifted']:,} at most. {share:.0%} of all labels "
            f"have as many, the label among them: {ending}."
        )

    def above(self, min_votes: int = 2, /) -> tuple[str, ...]:
        """Return the columns that are above the noise of so many voters, those with most voters first."""
        counted = self.columns.group_by("column").agg(pl.col("is_above").sum().alias("count"))
        passed = counted.filter(pl.col("count") >= min_votes)
        return tuple(passed.sort("count", "column", descending=[True, False])["column"])

    def as_dict(self) -> dict[str, Any]:
        """Return counts, and the columns above the noise of two voters, as JSON types."""
        facts = {"count_shifts": self.n_shifts, "chance": self.chance, "sentence": self.sentence}
        return facts | {"above": list(self.above()), "counts": self.counts.to_dicts()}


def noise_check(
    rows: TrainingRows,
    /,
    *,
    n_shifts: int = 19,
    every: int = 4,
    top_ratio: float = 0.5,
    n_neighbors: int = 3,
    seed: int = 0,
    n_jobs: int | None = None,
    on_progress: OnProgress = lambda _: None,
) -> NoiseCheck:
    """Score every column on the label and on labels shifted in time.

    Parameters
    ----------
    rows : TrainingRows
        n rows without undefined values.
    n_shifts : int
        Shifted labels. A column is above the noise with chance 1 / (n_shifts + 1): 19 make that the 5 % level.
    every : int
        Only every so many-th row is scored; labels of neighbours overlap, so little is lost.
    top_ratio, n_neighbors, seed, n_jobs
        As of `AlphaCouncil`.
    on_progress : callable
        Receives the share of the labels done.

    Raises
    ------
    LeakError
        The rows were not admitted to training.
    CallError
        An option is wrong.
    DataError
        A value is undefined, one class is absent, or there are too few rows for so many shifts.

    Notes
    -----
    *What is compared.* The rule of the council passes about half of all columns on any label, the purest noise
    included: on it, "passes on noise" says nothing, and `top_share` is in the table to show that. So each column is
    measured against itself: is its score on the label above its score on every shifted one?

    *Why shifts.* The label is turned around in time by 1, 2, ... of n_shifts + 1 parts of the rows. A turned label
    keeps its runs of ones and zeros, and a slow column meets them as often by luck as it meets the label. Shuffled
    labels have no runs; against them nearly every slow column looks like a discovery.

    *What to read.* Columns are copies of one another, so what passes on noise passes in droves: a shifted label may
    by luck let through far more than its 5 %. The figure to trust is `share_as_many`, which holds however columns
    hang together; `false_discovery` is an average over shifts of which the largest may be many times the mean.

    *Where it is blind.* Labels of near shifts are not independent for columns slower than a shift; that makes the
    check miss, not invent. What no shift shows is the bias of a finite sample: within one, a rise is followed by
    falls on a random walk too, since the mean of the sample knows how it went on. On simulated iid markets this
    check shows no trace of it; stable latents of the refinery do (`just study selection`). The voters are cheap
    ones: ANOVA F for the Lasso, which on noise is empty and ranks by F anyway, and a forest of 40 trees eight splits
    deep.

    References
    ----------
    B. Phipson, G. K. Smyth, Permutation P-values Should Never Be Zero, Statistical Applications in Genetics and
    Molecular Biology 9(1), 2010.
    """
    _check(rows, n_shifts, every)
    n_threads = joblib.cpu_count() if n_jobs is None else joblib.effective_n_jobs(n_jobs)
    order = np.argsort(np.array(rows.columns))
    X = np.asfortranarray(rows.x[::every][:, order])
    Z = standardise(X)
    codes = (rows.label > rows.label.min()).astype(np.int64)
    scores = []
    for shift in range(n_shifts + 1):
        turned = np.roll(codes, shift * len(codes) // (n_shifts + 1))[::every]
        f = anova_f(Z, turned)
        options = {"seed": seed, "n_threads": n_threads}
        forest = forest_importance(X, turned, n_estimators=N_TREES, max_depth=MAX_DEPTH, **options)
        scores.append([f, forest, mutual_information(X, turned, n_neighbors=n_neighbors, **options)])
        on_progress((shift + 1) / (n_shifts + 1))
    return _report([rows.columns[j] for j in order], np.array(scores), top_ratio)


# ------------------------------------------------------------------------------------


def _check(rows: TrainingRows, n_shifts: int, every: int) -> None:
    if not isinstance(rows, TrainingRows):
        raise LeakError("the council may see training rows only. Use Split.training(rows).")
    if n_shifts < 2 or every < 1:
        raise CallError(f"n_shifts {n_shifts} and every {every}: use at least 2 shifts, and every row (1) or fewer.")
    if len(rows) < 10 * every * (n_shifts + 1):
        raise DataError(
            f"{len(rows)} training rows are too few for {n_shifts} shifted labels on every {every}th row. "
            "Use more rows or fewer shifts."
        )
    if n_undefined := int(np.count_nonzero(~np.isfinite(rows.x))):
        raise DataError(f"{n_undefined} values to score are undefined. Impute first (mmf.impute.MedianImputer).")
    if len(np.unique(rows.label)) != 2:
        raise DataError("the labels hold one class only. Check the hurdle of the labels and the days of the run.")


def _report(names: Sequence[str], scores: np.ndarray, top_ratio: float) -> NoiseCheck:
    """Of (1 + n_shifts, voters, p) scores, the label's first."""
    n_shifts = len(scores) - 1
    noise = scores[1:].max(axis=0)
    is_above = scores > np.concatenate([noise[None], _highest_of_others(scores[1:])])
    ranks = np.array([[rank(score, of_label[0]) for score in of_label] for of_label in scores])
    counts = pl.DataFrame(
        _count(rule, min_votes, (passes.sum(axis=1) >= min_votes).sum(axis=1))
        for rule, passes in (("top_share", ranks <= n_top(len(names), top_ratio)), ("above_noise", is_above))
        for min_votes in range(1, len(VOTERS) + 1)
    )
    pairs = [split_lag(name) for name in names]
    columns = pl.DataFrame(
        {
            "column": np.repeat(np.array(names, object), len(VOTERS)),
            "base": [base for base, _ in pairs for _ in VOTERS],
            "lag": [lag for _, lag in pairs for _ in VOTERS],
            "voter": [*VOTERS] * len(names),
            "score": scores[0].T.ravel(),
            "noise": noise.T.ravel(),
            "is_above": is_above[0].T.ravel(),
        },
        schema_overrides={"column": pl.String},
    )
    return NoiseCheck(n_shifts, columns, counts)


def _highest_of_others(scores: np.ndarray) -> np.ndarray:
    """For each of (labels, voters, p) scores the highest on any other label."""
    second, first = np.sort(scores, axis=0)[-2:]
    return np.where(scores == first, second, first)


def _count(rule: str, min_votes: int, passing: np.ndarray) -> dict[str, Any]:
    """Compare the number that passes on the label, the first, with those of shifted labels."""
    label, shifted = int(passing[0]), passing[1:]
    return {
        "rule": rule,
        "min_votes": min_votes,
        "count_label": label,
        "mean_shifted": float(shifted.mean()),
        "max_shifted": int(shifted.max()),
        "share_as_many": float((1 + (shifted >= label).sum()) / len(passing)),
        "false_discovery": min(1.0, float(shifted.mean()) / label) if label else None,
    }
