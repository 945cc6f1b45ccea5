"""What a refinery did, as tidy tables for SQL and charts, and as one JSON value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from mmf.features.lags import split_lag
from mmf.tensor_flex.clusters import members_of
from mmf.tensor_flex.distil import Distilled
from mmf.tensor_flex.moments import Moments

TABLES = ("clusters", "members", "latents", "loadings", "folds")
TOP_LOADINGS = 5


def latent_name(cluster: int, component: int, /) -> str:
    """Name of a latent.

    Examples
    --------
    >>> latent_name(7, 1)
    'latent_07_1'
    """
    return f"latent_{cluster:02d}_{component}"


def latents_table(
    distilled: Distilled, moments: Moments, stable: np.ndarray, /, *, min_stability: float
) -> pl.DataFrame:
    """One row a latent: latent, cluster, component, explained_variance, alignment, stability, is_stable.

    `alignment` is the correlation with the label over all training rows.
    """
    return pl.DataFrame(
        {
            "latent": _latents(distilled),
            "cluster": distilled.cluster,
            "component": distilled.component,
            "explained_variance": distilled.explained,
            "alignment": moments.label @ distilled.weights,
            "stability": stable,
            "is_stable": stable >= min_stability,
        },
        schema_overrides={"latent": pl.String},
    )


def folds_table(distilled: Distilled, moments: Moments, /) -> pl.DataFrame:
    """One row a latent and fold: latent, fold (0 is the earliest), alignment (mean product with the label)."""
    of_folds = moments.folds[0] @ distilled.weights
    n_folds, q = of_folds.shape
    return pl.DataFrame(
        {
            "latent": np.repeat(_latents(distilled), n_folds),
            "fold": np.tile(np.arange(n_folds), q),
            "alignment": of_folds.T.ravel(),
        },
        schema_overrides={"latent": pl.String},
    )


def members_table(columns: Sequence[str], distilled: Distilled, moments: Moments, /) -> pl.DataFrame:
    """One row a column: column, base, lag, cluster, alignment, variance_left (share that Tensor Talk left)."""
    return pl.DataFrame(
        _bases_and_lags(columns)
        | {"cluster": distilled.labels, "alignment": moments.label, "variance_left": distilled.variance_left},
        schema_overrides={"column": pl.String, "base": pl.String, "lag": pl.Int64, "cluster": pl.Int64},
    )


def loadings_table(columns: Sequence[str], distilled: Distilled, moments: Moments, /) -> pl.DataFrame:
    """One row a latent and column that makes it: latent, column, base, lag, is_member, weight, correlation.

    Columns that are not members of the latent's cluster are those that Tensor Talk subtracted. `weight` is of the
    standardised column.
    """
    place, latent = np.nonzero(distilled.weights)
    order = np.lexsort((place, latent))
    place, latent = place[order], latent[order]
    correlation = moments.correlation @ distilled.weights
    return pl.DataFrame(
        {"latent": _latents(distilled)[latent]}
        | _bases_and_lags([columns[j] for j in place])
        | {
            "is_member": distilled.labels[place] == distilled.cluster[latent],
            "weight": distilled.weights[place, latent],
            "correlation": correlation[place, latent],
        },
        schema_overrides={"latent": pl.String, "column": pl.String, "base": pl.String, "lag": pl.Int64},
    )


def clusters_table(
    columns: Sequence[str], distilled: Distilled, moments: Moments, is_stable: np.ndarray, /
) -> pl.DataFrame:
    """One row a cluster.

    cluster, size, representative (the column most correlated with the others), neighbors, alpha, cross_left and
    alignment_kept (see `mmf.tensor_flex.talk.Talk`), then mean absolute correlations of columns and of their
    residuals: intra_before, intra_after, cross_before, cross_after (with the columns of all other clusters); null
    where there are no two columns. variance_left, explained_variance (of what is left), n_latents, n_stable.
    """
    talk = distilled.talk
    k = len(talk.alphas)
    counts = np.bincount(distilled.labels, minlength=k)
    return pl.DataFrame(
        {
            "cluster": np.arange(k),
            "size": counts,
            "representative": _representatives(columns, distilled.labels, moments.correlation),
            "neighbors": [list(near) for near in talk.neighbors],
            "alpha": talk.alphas,
            "cross_left": talk.cross_left,
            "alignment_kept": talk.alignment_kept,
            "intra_before": np.diag(distilled.similarity_before),
            "intra_after": np.diag(distilled.similarity_after),
            "cross_before": distilled.outward_before,
            "cross_after": distilled.outward_after,
            "variance_left": np.bincount(distilled.labels, distilled.variance_left, minlength=k) / counts,
            "explained_variance": np.bincount(distilled.cluster, distilled.explained, minlength=k),
            "n_latents": np.bincount(distilled.cluster, minlength=k),
            "n_stable": np.bincount(distilled.cluster[is_stable], minlength=k),
        },
        schema_overrides={"representative": pl.String, "neighbors": pl.List(pl.Int64)},
    ).with_columns(pl.selectors.float().fill_nan(None))


def report(tables: Mapping[str, pl.DataFrame], shifted: np.ndarray, /) -> dict[str, Any]:
    """Return all tables but the folds as one JSON value, the largest loadings of each latent alone."""
    clusters, latents = tables["clusters"], tables["latents"]
    n_stable = int(latents["is_stable"].sum())
    members = dict(tables["members"].group_by("cluster", maintain_order=True).agg("column").iter_rows())
    leading = _leading(tables["loadings"])
    return {
        "count_columns": tables["members"].height,
        "count_clusters": clusters.height,
        "count_latents": latents.height,
        "count_stable": n_stable,
        "mean_absolute_correlation": {
            name: _mean(clusters[name]) for name in ("intra_before", "intra_after", "cross_before", "cross_after")
        },
        "shifted_labels": {
            "count_shifts": len(shifted),
            "mean_stable": _mean(shifted),
            "max_stable": int(shifted.max(initial=0)),
            "share_as_many": _mean(shifted >= n_stable),
        },
        "clusters": [row | {"columns": members[row["cluster"]]} for row in clusters.iter_rows(named=True)],
        "latents": [row | {"loadings": leading[row["latent"]]} for row in latents.iter_rows(named=True)],
    }


# ------------------------------------------------------------------------------------


def _leading(loadings: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The members of each latent that correlate most with it."""
    by_size = loadings.filter("is_member").sort(pl.col("correlation").abs(), descending=True, maintain_order=True)
    leading = by_size.group_by("latent", maintain_order=True).head(TOP_LOADINGS)
    of_columns = pl.struct("column", "base", "lag", "weight", "correlation")
    return dict(leading.group_by("latent", maintain_order=True).agg(of_columns).iter_rows())


def _mean(values: np.ndarray | pl.Series) -> float | None:
    """Mean of what is defined; polars' own depends on its threads in the last bit."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else None


def _latents(distilled: Distilled) -> np.ndarray:
    pairs = zip(distilled.cluster.tolist(), distilled.component.tolist(), strict=True)
    return np.array([latent_name(*pair) for pair in pairs], dtype=object)


def _bases_and_lags(columns: Sequence[str]) -> dict[str, list[Any]]:
    pairs = [split_lag(column) for column in columns]
    return {"column": list(columns), "base": [base for base, _ in pairs], "lag": [lag for _, lag in pairs]}


def _representatives(columns: Sequence[str], labels: np.ndarray, correlation: np.ndarray) -> list[str]:
    """Of each cluster the column that correlates most with its others, the first of those that do alike."""
    members = members_of(labels)
    closeness = [np.abs(correlation[np.ix_(m, m)]).mean(axis=0).round(6) for m in members]
    return [columns[m[np.argmax(close)]] for m, close in zip(members, closeness, strict=True)]
