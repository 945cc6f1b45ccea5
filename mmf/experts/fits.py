"""Fits of an interrupted training on disk, to go on from."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mmf.errors import DataError
from mmf.experts.protocol import Expert
from mmf.experts.stored import expert_files, expert_from_files
from mmf.model_files import read_files, write_files
from mmf.rows import Rows
from mmf.scheduler import Effort

_PACKAGES = ("money-machine-framework", "numpy", "scipy", "scikit-learn", "torch")


@dataclass(frozen=True)
class FitFolder:
    """Where the fits of one training are kept until it is over.

    Attributes
    ----------
    path : Path or None
        None: nothing is kept.
    identity : str
        Hash of all that decides the fits; those of another identity are left aside and overwritten.
    """

    path: Path | None = None
    identity: str = ""

    def finished(self, fit: str, name: str, /) -> Expert | None:
        """Return an expert that was fitted before the interruption, if it was and is whole."""
        if self.path is None or not (folder := self.path / _slug(fit, name)).is_dir():
            return None
        try:
            files = read_files(folder)
            head = json.loads(files.pop(_HEAD))
            is_same = head["identity"] == self.identity
            return expert_from_files(head["kind"], files) if is_same else None
        except (DataError, KeyError, TypeError, ValueError):
            return None  # torn or foreign: fit anew

    def keep(self, fit: str, name: str, expert: Expert, /) -> None:
        """Keep a finished fit; what was kept of it while it was unfinished goes."""
        if self.path is None:
            return
        head = {"identity": self.identity, "kind": expert.name}
        write_files(self.path / _slug(fit, name), expert_files(expert) | {_HEAD: json.dumps(head).encode()})
        shutil.rmtree(self.path / _UNFINISHED / _slug(fit, name), ignore_errors=True)

    def unfinished(self, fit: str, name: str, /) -> Path | None:
        """Return the folder in which a neural fit is kept after each epoch."""
        return None if self.path is None else self.path / _UNFINISHED / _slug(fit, name)


def identity_of(
    experts: Mapping[str, Expert],
    columns: Mapping[str, Mapping[str, tuple[str, ...]]],
    rows: Iterable[Rows],
    /,
    *,
    effort: Effort,
    device: str,
) -> str:
    """Return the hash of all that decides the fits: rows, labels, settings, effort, device and package versions."""
    settings = {
        name: (expert.name, [read[name] for read in columns.values()], repr(expert.get_params()))
        for name, expert in experts.items()
    }
    packages = {name: version(name) for name in _PACKAGES}
    digest = hashlib.sha256(json.dumps([settings, effort.as_dict(), device, packages]).encode())
    for part in rows:
        digest.update(json.dumps([part.columns, part.symbols]).encode())
        for array in (part.open_time_ms, part.symbol, part.x, part.label, part.label_end_ms):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


# ------------------------------------------------------------------------------------

_HEAD = "fit.json"
_UNFINISHED = "unfinished"


def _slug(fit: str, name: str) -> str:
    return f"{fit.replace(' ', '_')}_{name}"
