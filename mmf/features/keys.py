"""Keys of computed rows: hashes of everything that they depend on."""

import functools
import hashlib
from collections.abc import Sequence
from importlib.metadata import version

import polars as pl

from mmf.bars import Interval
from mmf.errors import CallError
from mmf.features.build import canonical, row_hash
from mmf.features.registry import FeatureSet

_VERSIONED = ("numpy", "polars", "numba", "llvmlite")


def code_key(features: FeatureSet, interval: Interval, /) -> str:
    """Hash of all that rows depend on beside their bars: definitions, interval and versions of what computes."""
    parts = [features.definition_hash, row_hash(), interval.name, *_versions()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def unit_keys(
    features: FeatureSet, interval: Interval, read: pl.DataFrame, units: Sequence[tuple[int, int]], /
) -> list[str]:
    """Keys under which computed stretches of one read set may be used again.

    Parameters
    ----------
    features : FeatureSet
        What is computed.
    interval : Interval
        Grid of the series.
    read : pl.DataFrame
        Sorted bars: open_time and the set's inputs. Other columns stay out of the keys.
    units : sequence of (first, stop)
        Half-open places of rows, ascending. The key of a unit covers every bar from the first one read to its own
        last: `compute_chunk` of ``read[:stop]`` with ``n_own = stop - first`` depends on nothing else.

    Returns
    -------
    list of str
        A sha256 each, in the order of `units`. All of them together cost one pass over the bars.
    """
    head = code_key(features, interval)
    columns = [(name, *canonical(read[name])) for name in ("open_time", *features.inputs)]
    digests = [(hashlib.sha256(), hashlib.sha256()) for _ in columns]
    keys, done = [], 0
    for first, stop in units:
        if not done <= stop <= read.height or not 0 <= first < stop:
            raise CallError(f"rows {first} to {stop} are no unit of {read.height} bars read, the one before at {done}.")
        for (_, is_null, values), (nulls, bits) in zip(columns, digests, strict=True):
            nulls.update(is_null[done:stop].data)
            bits.update(values[done:stop].data)
        inputs = [
            f"{name} {nulls.hexdigest()} {bits.hexdigest()}"
            for (name, *_), (nulls, bits) in zip(columns, digests, strict=True)
        ]
        text = "\n".join([head, str(stop - first), str(stop), *inputs])
        keys.append(hashlib.sha256(text.encode()).hexdigest())
        done = stop
    return keys


# ------------------------------------------------------------------------------------


@functools.cache
def _versions() -> tuple[str, ...]:
    return tuple(f"{name}={version(name)}" for name in _VERSIONED)
