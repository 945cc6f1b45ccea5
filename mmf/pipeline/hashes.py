"""Hashes by which a run's data, selection and predictions are told apart."""

from collections.abc import Iterable
from hashlib import sha256

import numpy as np
import polars as pl

from mmf.features.build import content_hashes
from mmf.rows import Rows


def rows_hash(rows: Rows, /) -> str:
    """Hash times, values, labels and column names, to the last bit; of several symbols, which row is of which too."""
    arrays = (rows.open_time_ms, rows.x, rows.label)
    names = [name.encode() for name in rows.columns]
    if len(rows.symbols) > 1:
        names += [*(name.encode() for name in rows.symbols), rows.symbol.tobytes()]
    return _hash([*names, *(np.ascontiguousarray(array).tobytes() for array in arrays)])


def selection_hash(columns: Iterable[str], /) -> str:
    """Hash the names of the columns selected, in order."""
    return _hash(name.encode() for name in columns)


def predictions_hash(predictions: pl.DataFrame, /) -> str:
    """Hash every column of the predictions, in order."""
    return _hash(text.encode() for text in content_hashes(predictions).values())


# ------------------------------------------------------------------------------------


def _hash(parts: Iterable[bytes]) -> str:
    digest = sha256()
    for part in parts:
        digest.update(part + b"\0")
    return digest.hexdigest()
