"""Hash of what a function computes: its source and all that it uses, without comments and docstrings."""

import ast
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import polars as pl

from mmf.errors import CallError
from mmf.features.record import Feature
from mmf.features.source import label_of, local_imports, origin_of, syntax_of

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)


def feature_hash(feature: Feature, /) -> str:
    """Hash of one feature: name, version, reach, inputs, parameters and the source of its computation.

    Returns
    -------
    str
        64 hex digits; the same in every process. Unit, description and oracle are prose and stay out.

    Raises
    ------
    CallError
        The source cannot be found, or a constant has no canonical form.
    """
    computation = feature.computation
    parts = [
        feature.name,
        feature.version,
        feature.lookback,
        feature.memory,
        computation.kind,
        computation.inputs,
        _canonical(computation.parameters, feature.name),
        _source_of(computation.function),
    ]
    return _sha256(json.dumps(parts))


def combined_hash(hashes: Sequence[str], /) -> str:
    """Hash of hashes in order."""
    return _sha256(json.dumps(list(hashes)))


def source_hash(*functions: Callable[..., Any]) -> str:
    """Hash of functions and, transitively, the functions, classes and constants that they name.

    Comments, layout, docstrings and type hints of arguments stay out.

    Numba dispatchers count as the Python function they wrap. Things of installed packages count by name and by the
    version of the package, except for those whose versions belong to the key of a chunk. What is reached by `getattr`,
    `globals()` or `eval` is not seen.

    Raises
    ------
    CallError
        The source cannot be found, or a constant has no canonical form.
    """
    visit = _Visit()
    for function in functions:
        visit.enter("", function, "")
    return _sha256(json.dumps(sorted(visit.seen.items())))


# ------------------------------------------------------------------------------------


@functools.cache
def _source_of(function: Callable[..., Any]) -> str:
    return source_hash(function)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class _Visit:
    """What has been met so far: name -> source or value, in `seen`."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}
        self.visited: list[Any] = []  # kept alive, so that no id is given twice

    def enter(self, name: str, value: Any, owner: str) -> None:
        """Enter what `name` stands for in the source of `owner`."""
        value = _unwrapped(value)
        if isinstance(value, functools.partial):
            bound = _canonical([*value.args, value.keywords], f"{owner} {name}")
            self.seen[f"partial {owner} {name}"] = json.dumps(bound)
            self.enter(name, value.func, owner)
        elif isinstance(value, FunctionType | type) and origin_of(value.__module__) == "":
            self._visit(value)
        elif isinstance(value, ModuleType):
            self.seen[f"module {value.__name__}"] = origin_of(value.__name__)
        elif callable(value) and hasattr(value, "__name__") and (origin := origin_of(_module_of(value))):
            self.seen[f"name {_module_of(value)}.{getattr(value, '__qualname__', name)}"] = origin
        else:
            self.seen[f"constant {owner} {name}"] = json.dumps(_canonical(value, f"{owner} {name}".strip()))

    def _visit(self, target: FunctionType | type) -> None:
        if any(target is visited for visited in self.visited):
            return
        self.visited.append(target)
        nodes = syntax_of(target)
        label = self._free_label(label_of(target))
        self.seen[label] = ""  # taken, while what it uses is visited
        for node in nodes:
            scope = _scope(target) | local_imports(node)
            _drop_declaration(node, scope)
            self.seen[label] += ast.unparse(node)
            for name, value in _used(node, scope):
                self.enter(name, value, label)
        for name, value in _carried(target):
            self.enter(name, value, label)

    def _free_label(self, label: str) -> str:
        """Two closures of one function have one name but their own constants."""
        n = sum(known == label or known.startswith(f"{label}#") for known in self.seen)
        return f"{label}#{n}" if n else label


def _carried(target: FunctionType | type) -> Iterator[tuple[str, Any]]:
    """Values that a function or class carries and that its source does not show: defaults, and what was set later."""
    if isinstance(target, FunctionType):
        parameters = inspect.signature(target, follow_wrapped=False).parameters.values()
        yield from ((f"{one.name}=", one.default) for one in parameters if one.default is not one.empty)
    for name, value in vars(target).items():
        if not name.startswith("__") and not isinstance(value, FunctionType | classmethod | staticmethod | property):
            yield f".{name}", value


def _unwrapped(value: Any) -> Any:
    """Python function below a dispatcher or ufunc of Numba, below a vectoriser of NumPy, or below a cache."""
    if isinstance(value, FunctionType | type):
        return value
    if isinstance(value, np.vectorize):
        return value.pyfunc
    return getattr(value, "py_func", getattr(value, "__wrapped__", value))


def _module_of(value: Any) -> str:
    return getattr(value, "__module__", None) or ""


def _drop_declaration(node: ast.AST, scope: dict[str, Any]) -> None:
    """Take away the decorator that declares a user's feature: the record holds what it says, apart from prose."""
    if not isinstance(node, ast.FunctionDef):
        return
    node.decorator_list = [
        one
        for one in node.decorator_list
        if not any(_module_of(value) == "mmf.features.user" for _, value in _used(one, scope))
    ]


def _scope(target: FunctionType | type) -> dict[str, Any]:
    """What a name in the source of this function or class may stand for outside of it."""
    if not isinstance(target, FunctionType):
        return vars(sys.modules[target.__module__])
    closure = inspect.getclosurevars(target).nonlocals if target.__closure__ else {}
    return target.__globals__ | dict(closure)


def _used(node: ast.AST, scope: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and dotted names in a piece of source that `scope` resolves; modules only as far as the attribute."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in scope:
            yield part.id, scope[part.id]
        elif isinstance(part, ast.Attribute) and (dotted := _dotted(part)) and dotted[0] in scope:
            value = scope[dotted[0]]
            for attribute in dotted[1:]:
                if not isinstance(value, ModuleType) or origin_of(value.__name__):
                    break
                value = getattr(value, attribute, value)
            else:
                yield ".".join(dotted), value


def _dotted(node: ast.Attribute) -> list[str] | None:
    names = [node.attr]
    inner = node.value
    while isinstance(inner, ast.Attribute):
        names.append(inner.attr)
        inner = inner.value
    return [inner.id, *reversed(names)] if isinstance(inner, ast.Name) else None


def _canonical(value: Any, where: str) -> Any:
    """JSON-able form of a constant that is the same in every process."""
    if isinstance(value, _PLAIN):
        return [type(value).__name__, repr(value)]
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return ["ndarray", value.dtype.str, list(value.shape), value.tobytes().hex()]
    if isinstance(value, pl.Expr):
        return ["expression", value.meta.serialize().hex()]
    if isinstance(value, tuple | list):
        return [type(value).__name__, *(_canonical(item, where) for item in value)]
    if isinstance(value, dict):
        return ["dict", *([_canonical(k, where), _canonical(v, where)] for k, v in value.items())]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(json.dumps(_canonical(item, where)) for item in value)]
    raise CallError(
        f"constant {where} is a {type(value).__name__}, which has no canonical form to hash. Use numbers, text, "
        "tuples, dicts, arrays or expressions, or build it inside the function."
    )
