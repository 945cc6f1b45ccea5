"""Hash of what a function computes: its source and all that it uses, without comments and docstrings."""

import ast
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from mmf.errors import CallError
from mmf.features.record import Feature

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
    """Hash of functions and, transitively, the functions, classes and constants of their package that they name.

    Comments, layout, docstrings and type hints of arguments stay out.

    Numba dispatchers count as the Python function they wrap. Things of other packages count by name: their versions
    belong to the caller's key.

    Raises
    ------
    CallError
        The source cannot be found (a lambda, say), or a constant has no canonical form.
    """
    seen: dict[str, str] = {}
    for function in functions:
        _visit(_unwrapped(function), seen)
    return _sha256(json.dumps(sorted(seen.items())))


# ------------------------------------------------------------------------------------


@functools.cache
def _source_of(function: Callable[..., Any]) -> str:
    return source_hash(function)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _unwrapped(value: Any) -> Any:
    return getattr(value, "py_func", value)


def _visit(target: FunctionType | type, seen: dict[str, str]) -> None:
    """Enter a function or class and what it uses into `seen`, as name -> source or value."""
    label = f"{target.__module__}.{target.__qualname__}"
    if label in seen:
        return
    node = _definition(target)
    seen[label] = ast.unparse(node)
    for name, value in _used(node, _scope(target)):
        _enter(name, _unwrapped(value), target.__module__, seen)


def _enter(name: str, value: Any, module: str, seen: dict[str, str]) -> None:
    if isinstance(value, FunctionType | type) and _package(value.__module__) == _package(module):
        _visit(value, seen)
    elif isinstance(value, ModuleType):
        seen[f"module {value.__name__}"] = ""
    elif callable(value):
        seen[f"name {getattr(value, '__module__', '')}.{getattr(value, '__qualname__', name)}"] = ""
    else:
        seen[f"constant {module}.{name}"] = json.dumps(_canonical(value, f"{module}.{name}"))


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
                if not isinstance(value, ModuleType) or _is_foreign(value):
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


def _is_foreign(module: ModuleType) -> bool:
    return "site-packages" in (getattr(module, "__file__", None) or "site-packages")


def _package(module: str) -> str:
    return module.partition(".")[0]


def _definition(target: FunctionType | type) -> ast.AST:
    """Syntax tree of a function or class, found by name and line in its module's file."""
    path = getattr(sys.modules.get(target.__module__), "__file__", None)
    if path is not None:
        line = target.__code__.co_firstlineno if isinstance(target, FunctionType) else 0
        node = _definitions(Path(path).read_text(encoding="utf-8")).get((target.__name__, line))
        if node is not None:
            return node
    raise CallError(
        f"the source of {target.__module__}.{target.__qualname__} cannot be found, so its definition cannot be "
        "hashed. Write it as a `def` in a module file."
    )


@functools.lru_cache(maxsize=64)
def _definitions(source: str) -> dict[tuple[str, int], ast.AST]:
    """Functions by name and first line, classes by name and 0, bare of docstrings and type hints."""
    found: dict[tuple[str, int], ast.AST] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            found[node.name, min([node.lineno, *(d.lineno for d in node.decorator_list)])] = node
            node.returns = None
        elif isinstance(node, ast.ClassDef):
            found[node.name, 0] = node
        elif isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return found


def _canonical(value: Any, where: str) -> Any:
    """JSON-able form of a constant that is the same in every process."""
    if isinstance(value, _PLAIN):
        return [type(value).__name__, repr(value)]
    if isinstance(value, np.ndarray):
        return ["ndarray", value.dtype.str, list(value.shape), value.tobytes().hex()]
    if isinstance(value, tuple | list):
        return [type(value).__name__, *(_canonical(item, where) for item in value)]
    if isinstance(value, dict):
        return ["dict", *([_canonical(k, where), _canonical(v, where)] for k, v in value.items())]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(json.dumps(_canonical(item, where)) for item in value)]
    raise CallError(
        f"constant {where} is a {type(value).__name__}, which has no canonical form to hash. Use numbers, text, "
        "tuples, dicts or arrays, or build it inside the function."
    )
