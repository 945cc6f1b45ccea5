"""Load the features of a user from the Python file that mmf.toml names.

The file is code that its owner runs: it is loaded by the path in the configuration and from nowhere else.
"""

import ast
import functools
import hashlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from mmf.bars import VALUE_COLUMNS
from mmf.errors import CallError
from mmf.features.record import Feature
from mmf.features.source import SOURCE, USER_PREFIX
from mmf.features.user import declared


def load_features(path: Path, /) -> tuple[Feature, ...]:
    """Run a feature file and collect its features.

    Parameters
    ----------
    path : Path
        A Python file. A feature is a function under `mmf.features.user.feature`, or a record in a tuple FEATURES.

    Returns
    -------
    tuple of Feature
        In the order of the file, the records of FEATURES last. A file that has not changed is run once a process.

    Raises
    ------
    CallError
        The file is absent, is not Python, raises, or declares nothing, a name twice, or a column that bars lack.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CallError(
            f"there is no feature file {path}. Mend `file` under [features] in mmf.toml, or write the file."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(f"the feature file {path} cannot be read: {error}.") from None
    return _load(path.resolve(), text)


# ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=32)
def _load(path: Path, text: str) -> tuple[Feature, ...]:
    module = _run(path, text)
    found: list[Feature] = []
    for value in vars(module).values():
        if getattr(value, "__module__", None) == module.__name__:
            found += [feature for feature in declared(value) if feature not in found]
    found += _records(module, path)
    if not found:
        raise CallError(
            f"{path.name} declares no feature. Put `@feature(lookback=...)` of mmf.features.user over a function."
        )
    for place, feature in enumerate(found):
        if any(feature.name == earlier.name for earlier in found[:place]):
            raise CallError(f"{path.name} declares two features named {feature.name!r}. Rename one of them.")
        for name in feature.inputs:
            if name not in VALUE_COLUMNS:
                raise CallError(
                    f"{path.name}: feature {feature.name} reads {name!r}; bars have {' '.join(VALUE_COLUMNS)}."
                )
    return tuple(found)


def _run(path: Path, text: str) -> ModuleType:
    module = ModuleType(USER_PREFIX + hashlib.sha256(str(path).encode()).hexdigest()[:12])
    module.__file__ = str(path)
    setattr(module, SOURCE, text)
    try:
        code = compile(ast.parse(text, str(path)), str(path), "exec")
    except SyntaxError as error:
        raise CallError(f"{path.name}, line {error.lineno}: {error.msg}.") from None
    except ValueError as error:
        raise CallError(f"{path.name} is not Python: {error}.") from None
    sys.modules[module.__name__] = module  # numba and dataclasses look their module up there
    try:
        exec(code, vars(module))  # noqa: S102  # the user named this file in their own configuration
    except CallError as error:
        raise CallError(f"{path.name}, line {_line(error, path)}: {error}") from None
    except Exception as error:  # whatever a user's own code raises
        raise CallError(f"{path.name}, line {_line(error, path)}: {type(error).__name__}: {error}") from error
    return module


def _line(error: BaseException, path: Path) -> int | None:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _records(module: ModuleType, path: Path) -> list[Feature]:
    records = getattr(module, "FEATURES", ())
    if not isinstance(records, tuple | list) or not all(isinstance(record, Feature) for record in records):
        raise CallError(f"{path.name}: FEATURES holds something else than records of mmf.features.record.Feature.")
    return list(records)
