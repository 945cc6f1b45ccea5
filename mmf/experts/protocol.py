"""What the trader asks of an expert."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np

from mmf.experts.head import LogisticHead
from mmf.experts.layout import Layout
from mmf.scheduler import Effort

View = Literal["selected", "latents"]


@dataclass(frozen=True)
class EpochRecord:
    """What one pass of a neural fit over its training rows gave.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    n_updates : int
        Steps of the optimiser in this epoch.
    loss : float
        Mean training loss over its updates, dropout included.
    validation_loss : float or None
        Log-loss of the rows that early stopping looks at, without dropout; None where there are none.
    """

    epoch: int
    n_updates: int
    loss: float
    validation_loss: float | None = None


@dataclass(frozen=True)
class Session:
    """What surrounds one fit; experts that are not trained by gradient descent have no use for it.

    Attributes
    ----------
    stop_on : np.ndarray or None
        (n,) bool, or of the labels' shape: rows by which a neural fit stops early, and which it does not train on.
    purged : np.ndarray or None
        The same of rows whose labels reach into those of `stop_on`; a neural fit does not train on them either.
    folder : Path or None
        Where an unfinished neural fit is kept after each epoch, to be resumed.
    identity : str
        Hash of all that decides the fit; what another fit has left in the folder is not resumed.
    on_epoch : callable(name, record)
        Told after each epoch by which network; a resumed fit tells its earlier epochs first.
    """

    stop_on: np.ndarray | None = None
    purged: np.ndarray | None = None
    folder: Path | None = None
    identity: str = ""
    on_epoch: Callable[[str, EpochRecord], None] = lambda *_: None


ALONE = Session()


class Expert(Protocol):
    """A probability model that the trader mixes with others.

    An expert follows scikit-learn: `__init__` only stores parameters, so that
    `sklearn.base.clone` gives an unfitted copy, and learned values end in `_`. It sees finite numbers
    only (the trader imputes), and scales them itself where it must.

    Attributes
    ----------
    name : str
        Key in the registry.
    reads : {"selected", "latents"}
        Which columns it is handed: those selected for the classic experts, or all latents.
    """

    name: ClassVar[str]
    reads: ClassVar[View]

    @property
    def context_bars(self) -> int:
        """Earlier bars that an answer reads; 0 where each row is answered by itself."""
        ...

    @property
    def history_(self) -> tuple[EpochRecord, ...]:
        """One record an epoch that the fit has run; empty where nothing is trained in epochs."""
        ...

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        effort: Effort,
        session: Session = ALONE,
        layout: Layout | None = None,
    ) -> Self:
        """Learn from (n, p) float32 features of consecutive stored bars and (n,) labels.

        A label is 0.0 or 1.0, or NaN where the row is context only; an expert without context is never handed such a
        row. The layout tells bars of several symbols apart; without it all are of one.
        """
        ...

    def predict_proba(self, X: np.ndarray, /, *, layout: Layout | None = None) -> np.ndarray:
        """Return (n,) float64 probabilities of label 1, one a row.

        Where context is read, rows are consecutive bars: of one symbol, or of each in the layout.
        """
        ...

    def vital_signs(self) -> dict[str, int]:
        """Count what the expert has learned, by kind."""
        ...

    def get_params(self) -> dict[str, Any]:
        """Return the parameters of `__init__`, those of nested models too."""
        ...

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters of `__init__`."""
        ...


@runtime_checkable
class JoinedExpert(Protocol):
    """An expert made of several models, whose logits a head joins; the head is fitted together with the gate.

    Attributes
    ----------
    head_ : LogisticHead
        Equal weights after `fit`; the trader puts the fitted one in its place.
    """

    head_: LogisticHead

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the models, in the order of the columns of `parts`."""
        ...

    def parts(self, X: np.ndarray, /, *, layout: Layout | None = None) -> np.ndarray:
        """Return (n, parts) float64 logits of label 1."""
        ...
