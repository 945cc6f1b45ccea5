"""What a fitted refinery came from, and whether another run may use it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Self

import numpy as np

from mmf.errors import DataError
from mmf.rows import TrainingRows
from mmf.tensor_flex.refinery import TensorFlex

_NOT_FITTED = ("mode", "n_jobs")  # what a fit does not depend on
_NUMBERS = ("first_open_ms", "last_open_ms", "known_before_ms", "n_rows", "n_columns")


@dataclass(frozen=True)
class ArtifactIdentity:
    """The origin of a fitted refinery.

    Attributes
    ----------
    series, table_state, definition_hash : str
        Whose rows; the feature version and snapshot, such as `core@v3@S17`; the hash of its definitions.
    first_open_ms, last_open_ms : int
        open_time of the first and last training row.
    known_before_ms : int
        Instant by which the labels of the training rows are known, where the judged rows begin.
    n_rows : int
        Training rows.
    labels_hash : str
        sha256 of the labels and of when they are known.
    n_columns : int
        Columns fitted on.
    columns_hash : str
        sha256 of their names, in any order.
    values_hash : str
        sha256 of their values: a warehouse made anew counts its snapshots from 1 again.
    settings : mapping
        Parameters of the fit.
    """

    series: str
    table_state: str
    definition_hash: str
    first_open_ms: int
    last_open_ms: int
    known_before_ms: int
    n_rows: int
    labels_hash: str
    n_columns: int
    columns_hash: str
    values_hash: str
    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls, flex: TensorFlex, rows: TrainingRows, /, *, series: str, table_state: str, definition_hash: str
    ) -> Self:
        """Describe the fit of a refinery, done or to be done, on training rows."""
        settings = {name: value for name, value in flex.get_params().items() if name not in _NOT_FITTED}
        return cls(
            series=series,
            table_state=table_state,
            definition_hash=definition_hash,
            first_open_ms=int(rows.open_time_ms[0]),
            last_open_ms=int(rows.open_time_ms[-1]),
            known_before_ms=int(rows.known_before_ms),
            n_rows=len(rows),
            labels_hash=sha256(rows.label.tobytes() + rows.label_end_ms.tobytes()).hexdigest(),
            n_columns=len(rows.columns),
            columns_hash=sha256("\n".join(sorted(rows.columns)).encode()).hexdigest(),
            values_hash=_values_hash(rows),
            settings=settings | {"bypass": list(settings["bypass"])},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the identity as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], /) -> Self:
        """Take on what `as_dict` returned.

        Raises
        ------
        DataError
            A field is absent, unknown or of another type.
        """
        kinds = {field.name: int if field.name in _NUMBERS else str for field in fields(cls)} | {"settings": dict}
        is_whole = isinstance(content, Mapping) and set(content) == set(kinds)
        if not is_whole or any(not isinstance(content[name], kind) for name, kind in kinds.items()):
            raise DataError("the identity of the stored refinery is not readable. Fit it again.")
        return cls(**content)


def why_not_reusable(saved: ArtifactIdentity, wanted: ArtifactIdentity, /) -> list[str]:
    """Return why a stored refinery may not stand in for a fit; empty where it may.

    Parameters
    ----------
    saved : ArtifactIdentity
        Of the stored refinery.
    wanted : ArtifactIdentity
        Of the fit that it would save.

    Returns
    -------
    list of str
        One reason each, for people.
    """
    plain = (
        ("series", "it was fitted on {}, this run reads {}"),
        ("table_state", "it was fitted on table state {}, this run reads {}"),
        ("definition_hash", "the definitions of its features have hash {:.12}, those of this run {:.12}"),
    )
    reasons = [
        text.format(getattr(saved, name), getattr(wanted, name))
        for name, text in plain
        if getattr(saved, name) != getattr(wanted, name)
    ]
    if _window(saved) != _window(wanted):
        reasons.append(f"its training window is {_window(saved)}, that of this run {_window(wanted)}")
    elif saved.labels_hash != wanted.labels_hash:
        reasons.append("the labels of its training rows are not those of this run")
    if saved.columns_hash != wanted.columns_hash:
        reasons.append(
            f"its {saved.n_columns} columns (hash {saved.columns_hash[:12]}) are not the {wanted.n_columns} of this "
            f"run (hash {wanted.columns_hash[:12]})"
        )
    elif reasons == [] and saved.values_hash != wanted.values_hash:
        reasons.append("the values of its columns are not those of this run: bars or features were made anew")
    names = sorted({*saved.settings, *wanted.settings})
    pairs = [(name, saved.settings.get(name), wanted.settings.get(name)) for name in names]
    return reasons + [
        f"its {name} is {theirs}, that of this run {ours}" for name, theirs, ours in pairs if theirs != ours
    ]


# ------------------------------------------------------------------------------------


def _values_hash(rows: TrainingRows) -> str:
    digest = sha256()
    for j in np.argsort(np.array(rows.columns)):
        digest.update(rows.x[:, j].tobytes())
    return digest.hexdigest()


def _window(identity: ArtifactIdentity) -> str:
    first, last, known = map(_instant, (identity.first_open_ms, identity.last_open_ms, identity.known_before_ms))
    return f"{first} to {last}, purged by {known} ({identity.n_rows:,} rows)"


def _instant(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"
