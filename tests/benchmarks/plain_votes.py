"""Plain scikit-learn voters on the whole real training matrix, cached beside this file: they take ten minutes of CPU.

python -m tests.benchmarks.plain_votes FILE   writes plain_votes.csv anew from a file of 60m bars.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LassoCV

from mmf.alpha_council.linear import Fold
from mmf.alpha_council.ranking import anova_f, n_top, rank, standardise
from mmf.rows import TrainingRows
from mmf.splits import time_folds

CACHE = Path(__file__).with_suffix(".csv")
N_TREES = 200
N_FOLDS = 5
VOTERS = ("linear", "forest", "mutual")
DIGITS = 9


def plain_lasso(Z: np.ndarray, codes: np.ndarray, folds: list[Fold]) -> np.ndarray:
    """Sizes of the coefficients of scikit-learn's Lasso over the folds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # at small penalties, which are not chosen
        return np.abs(LassoCV(cv=folds).fit(Z, codes).coef_)


def plain_forest(x: np.ndarray, codes: np.ndarray, *, seed: int, n_jobs: int | None = None) -> np.ndarray:
    """Importances of scikit-learn's forest; they do not depend on the number of processes."""
    return RandomForestClassifier(N_TREES, random_state=seed, n_jobs=n_jobs).fit(x, codes).feature_importances_


def top(score: np.ndarray, f: np.ndarray) -> np.ndarray:
    """(p,) 1 for the columns that a voter votes for."""
    return (rank(score, f) <= n_top(len(score), 0.5)).astype(np.int64)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the columns of one top that the other has too."""
    return float((one & other).sum() / one.sum())


def plain_scores(rows: TrainingRows) -> pl.DataFrame:
    """One row for each column: column, anova_f, mutual, forest, other_forest (of another seed), linear."""
    Z, codes = standardise(np.asfortranarray(rows.x)), rows.label.astype(np.int64)
    work = {
        "anova_f": lambda: anova_f(Z, codes),
        "mutual": lambda: mutual_info_classif(rows.x, codes, random_state=0),
        "forest": lambda: plain_forest(rows.x, codes, seed=0, n_jobs=2),
        "other_forest": lambda: plain_forest(rows.x, codes, seed=1, n_jobs=2),
        "linear": lambda: plain_lasso(Z.astype(np.float64), codes, time_folds(rows, N_FOLDS)),
    }
    scores = {}
    for name, score in work.items():
        scores[name] = score()
        sys.stderr.write(f"{name} done\n")
    return pl.DataFrame({"column": rows.columns} | scores)


def agreement_with_plain(votes: pl.DataFrame, n_rows: int) -> dict[str, float] | None:
    """Share of each voter's top half that its cached plain twin has too, and the Jaccard index of the selections.

    None where there is no cache, or one of other rows or columns. `plain_forests` is that of two plain forests of
    different seed, which no other forest can exceed for long.
    """
    if not CACHE.exists() or f"# {n_rows} rows" != CACHE.read_text(encoding="utf-8").partition(",")[0]:
        return None
    plain = pl.read_csv(CACHE, comment_prefix="#").sort("column")
    ours = votes.sort("column")
    if not plain["column"].equals(ours["column"]):
        return None
    f = plain["anova_f"].to_numpy()
    tops = {name: (ours[f"{name}_rank"] <= n_top(len(f), 0.5)).to_numpy().astype(np.int64) for name in VOTERS}
    plain_tops = {name: top(plain[name].to_numpy(), f) for name in (*VOTERS, "other_forest")}
    selected, plain_selected = (sum(of[name] for name in VOTERS) >= 2 for of in (tops, plain_tops))
    return {name: overlap(tops[name], plain_tops[name]) for name in VOTERS} | {
        "plain_forests": overlap(plain_tops["forest"], plain_tops["other_forest"]),
        "council": float((selected & plain_selected).sum() / (selected | plain_selected).sum()),
    }


def main(file: str) -> None:
    """Write the cache."""
    from tests.benchmarks.council import training_rows  # noqa: PLC0415 - which reads the cache from here

    rows = training_rows(pl.read_parquet(Path(file)))
    scores = plain_scores(rows).with_columns(pl.selectors.float().round_sig_figs(DIGITS))
    told = f"# {len(rows)} rows, {len(rows.columns)} columns of {Path(file).name}"
    CACHE.write_text(f"{told}: python -m tests.benchmarks.plain_votes\n" + scores.write_csv(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
