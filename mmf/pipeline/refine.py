"""Tensor-Flex within a run: fit it, or take the one that an earlier run left behind."""

from dataclasses import dataclass
from pathlib import Path

from mmf.errors import DataError, LeakError
from mmf.experts.protocol import View
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.state import TableState
from mmf.rows import TrainingRows
from mmf.tensor_flex import ArtifactIdentity, TensorFlex, load, save, why_not_reusable
from mmf.tensor_flex.refinery import AnyRows

FOLDER = "tensor_flex"  # within the artifacts, and within each run's own


@dataclass(frozen=True)
class Refined:
    """Stage 3: the columns that the experts read.

    Attributes
    ----------
    columns : tuple of str
        What the classic experts read: the physics trio and the stable latents, or all that the council selected
        where there is no refinery.
    flex : TensorFlex or None
        The fitted refinery.
    identity : ArtifactIdentity or None
        What it was fitted on.
    is_reused : bool
        Whether an earlier run had fitted it.
    why_not_reused : tuple of str
        Why the refinery of an earlier run could not be taken; empty where it was, or where there was none.
    """

    columns: tuple[str, ...]
    flex: TensorFlex | None = None
    identity: ArtifactIdentity | None = None
    is_reused: bool = False
    why_not_reused: tuple[str, ...] = ()

    @property
    def views(self) -> dict[View, tuple[str, ...]]:
        """Which columns the classic experts read, and, where there are latents, which the networks do."""
        if self.flex is None:
            return {"selected": self.columns}
        return {"selected": self.columns, "latents": self.flex.names("full_latents")}

    def apply(self, rows: AnyRows, /) -> AnyRows:
        """Return the rows with the columns of all views."""
        if self.flex is None:
            return rows.select(self.columns)
        return self.flex.transform_rows(rows, mode="full_latents")


def refine(
    training: TrainingRows,
    columns: tuple[str, ...],
    state: TableState,
    config: TrainConfig,
    /,
    *,
    artifacts: Path | None = None,
    must_fit: bool = False,
) -> Refined:
    """Distil the columns that the council selected, from training rows only.

    Parameters
    ----------
    training : TrainingRows
        With these columns among others.
    columns : tuple of str
        What the council selected.
    state : TableState
        Where the rows come from.
    config : TrainConfig
        Whether there is a refinery at all.
    artifacts : Path, optional
        Where the refinery of the latest run lies; it is taken where it was fitted on the very same rows, columns,
        labels and settings.
    must_fit : bool
        Fit anew even so.

    Raises
    ------
    LeakError
        The rows were not admitted to training, whether a fit is needed or not.
    """
    if not isinstance(training, TrainingRows):
        raise LeakError("the refinery may see training rows only. Use Split.training(rows).")
    if not config.use_tensor_flex:
        return Refined(columns)
    rows = training.select(columns)
    flex = TensorFlex()
    series = " ".join(map(str, state.all_series))
    identity = ArtifactIdentity.of(
        flex, rows, series=series, table_state=str(state), definition_hash=state.definition_hash
    )
    stored, why_not = _stored(identity, artifacts, must_fit=must_fit)
    flex = stored or flex.fit_rows(rows)
    return Refined(flex.names("selected"), flex, identity, stored is not None, why_not)


def save_refined(refined: Refined, folder: Path, /) -> None:
    """Write the refinery into a folder of its own, in one step replacing the one that may be there."""
    if refined.flex is not None and refined.identity is not None:
        save(refined.flex, folder, identity=refined.identity)


# ------------------------------------------------------------------------------------


def _stored(
    wanted: ArtifactIdentity, artifacts: Path | None, *, must_fit: bool
) -> tuple[TensorFlex | None, tuple[str, ...]]:
    """Return the refinery of the latest run, or why it cannot be taken."""
    if artifacts is None or not (artifacts / FOLDER).is_dir():
        return None, ()
    if must_fit:
        return None, ("a new fit was asked for",)
    try:
        stored = load(artifacts / FOLDER)
    except DataError as error:
        return None, (str(error),)
    why_not = tuple(why_not_reusable(stored.identity, wanted))
    return (None if why_not else stored.flex), why_not
