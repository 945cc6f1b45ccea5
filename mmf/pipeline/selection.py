"""Selection looked at closely: votes, what they hang on, and what passes on noise; nothing is trained."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl
from sklearn.base import clone

from mmf.alpha_council.families import by_feature, by_lag
from mmf.alpha_council.noise import NoiseCheck, noise_check
from mmf.alpha_council.stability import Stability, fold_stability
from mmf.features.registry import UserFeatures
from mmf.impute import MedianImputer
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.lineage import MMF_ONLY
from mmf.pipeline.prepare import Prepared
from mmf.pipeline.refine import Refined
from mmf.pipeline.stages import Selected
from mmf.pipeline.state import TableState
from mmf.pipeline.train import distil
from warehouse import Warehouse


@dataclass(frozen=True)
class Selection:
    """What `look_at_selection` found.

    Attributes
    ----------
    prepared, selected, refined
        The first three stages of a run.
    by_feature, by_lag : pl.DataFrame
        How votes spread; see `mmf.alpha_council.families`.
    stability : Stability or None
        Votes on parts of time.
    noise : NoiseCheck or None
        Votes on labels shifted in time.
    """

    prepared: Prepared
    selected: Selected
    refined: Refined
    by_feature: pl.DataFrame
    by_lag: pl.DataFrame
    stability: Stability | None = None
    noise: NoiseCheck | None = None


def look_at_selection(
    warehouse: Warehouse,
    state: TableState,
    config: TrainConfig,
    /,
    *,
    user: UserFeatures = MMF_ONLY,
    with_stability: bool = False,
    n_shifts: int = 0,
    on_progress: Callable[[str, float], None] = lambda *_: None,
) -> Selection:
    """Select on the training rows of a table state, and say what the selection is worth.

    Parameters
    ----------
    warehouse, state, config, user
        See `mmf.pipeline.train.train`.
    with_stability : bool
        Let the council vote on five parts of time too.
    n_shifts : int
        Labels shifted in time to vote on, 19 for a p value of 0.05 at best; 0 leaves that out.
    on_progress : callable(step, share)
        Told how far it is.
    """
    with warehouse.pin(state.snapshot):
        prepared, selected, refined = distil(warehouse, state, config, user=user, on_progress=on_progress)
    votes = selected.council.votes_
    found = Selection(prepared, selected, refined, by_feature(votes), by_lag(votes))
    training = prepared.training
    rows = replace(training, x=MedianImputer().fit_rows(training).transform(training.x))
    if with_stability:
        told = fold_stability(
            clone(selected.council), rows, on_progress=lambda share: on_progress("votes on parts of time", share)
        )
        found = replace(found, stability=told)
    if n_shifts:
        checked = noise_check(
            rows, n_shifts=n_shifts, seed=config.seed, on_progress=lambda share: on_progress("votes on noise", share)
        )
        found = replace(found, noise=checked)
    return found
