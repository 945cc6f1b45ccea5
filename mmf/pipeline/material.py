"""The rows of a run on disk, so that parts of its evaluation can read them in any process."""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmf.pipeline.dataset import Dataset
from mmf.pipeline.prepare import Loaded
from mmf.pipeline.state import TableState
from mmf.rows import Rows


@dataclass(frozen=True)
class Material:
    """What `Loaded` holds, in files that are mapped and not copied.

    Attributes
    ----------
    folder : Path
        Where they lie; whoever wrote them removes them.
    state : TableState
        Where they come from.
    facts : Dataset
        The dataset without rows and bars.
    """

    folder: Path
    state: TableState
    facts: Dataset

    @classmethod
    def write(cls, loaded: Loaded, folder: Path, /) -> "Material":
        """Write the rows, bars and funding into an empty folder."""
        folder.mkdir(parents=True)
        dataset = loaded.dataset
        others: dict[str, Any] = {}
        for name, value in _values(dataset.rows).items():
            if isinstance(value, np.ndarray):
                np.save(folder / f"{name}.npy", value, allow_pickle=False)
            else:
                others[name] = value
        (folder / "rows.json").write_text(json.dumps(others), encoding="utf-8")
        dataset.bars.write_parquet(folder / "bars.parquet")
        if loaded.funding is not None:
            loaded.funding.write_parquet(folder / "funding.parquet")
        nothing = np.zeros(0, np.int64)
        facts = replace(dataset, rows=dataset.rows.take(nothing), bars=dataset.bars.clear())
        return cls(folder, loaded.state, facts)

    def load(self) -> Loaded:
        """Map the rows; columns of features are read as they are touched."""
        others = json.loads((self.folder / "rows.json").read_text(encoding="utf-8"))
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in others.items()
        }
        for path in self.folder.glob("*.npy"):
            values[path.stem] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        funding = self.folder / "funding.parquet"
        dataset = replace(self.facts, rows=Rows(**values), bars=pl.read_parquet(self.folder / "bars.parquet"))
        return Loaded(self.state, dataset, pl.read_parquet(funding) if funding.exists() else None)


# ------------------------------------------------------------------------------------


def _values(rows: Rows) -> dict[str, Any]:
    return {field.name: getattr(rows, field.name) for field in fields(rows)}
