"""Source of functions and classes as syntax trees, and whether a module is ours to read or an installed package."""

import ast
import functools
import importlib
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import FunctionType
from typing import Any

from mmf.errors import CallError

KEYED = frozenset({"numpy", "polars", "numba", "llvmlite"})  # their versions are part of every chunk's key
USER_PREFIX = "_mmf_user_"  # of the modules that files of users become
SOURCE = "__source__"  # global of such a module: its text when it was loaded

_INSTALLED = ("site-packages", "dist-packages")
_LAMBDA = "<lambda>"


def origin_of(module: str, /) -> str:
    """Where a module comes from.

    Returns
    -------
    str
        Empty for source that counts as part of a definition: MMF, files of users and what lies outside of
        site-packages. Else name and version of the package; without the version where a chunk's key holds it.
    """
    top = module.partition(".")[0]
    if top in {"mmf", "__main__"} or top.startswith(USER_PREFIX):
        return ""
    if not top or top in sys.stdlib_module_names:
        return "python"
    package = sys.modules.get(top)
    path = getattr(package, "__file__", None) or " ".join(getattr(package, "__path__", ()))
    if not any(folder in path for folder in _INSTALLED):
        return ""
    return top if top in KEYED else f"{top} {_version(top)}"


def label_of(target: FunctionType | type, /) -> str:
    """Name of a function or class; the file of a user may lie anywhere and be called anything."""
    module = "user" if target.__module__.startswith(USER_PREFIX) else target.__module__
    return f"{module}.{target.__qualname__}"


def syntax_of(target: FunctionType | type, /) -> list[ast.AST]:
    """Return the definition of a function or class, bare of docstrings and type hints.

    Returns
    -------
    list of ast.AST
        One tree; all lambdas of a line where the function is one of several on it.

    Raises
    ------
    CallError
        There is no file that holds it.
    """
    text = _text(target)
    if text is not None:
        if isinstance(target, FunctionType):
            nodes = _definitions(text).get((target.__code__.co_name, target.__code__.co_firstlineno))
        else:
            nodes = _definitions(text).get((target.__name__, 0))
        if nodes:
            return nodes
    raise CallError(
        f"the source of {target.__module__}.{target.__qualname__} cannot be found, so its definition cannot be "
        "hashed. Write it as a `def` in a module file."
    )


def local_imports(node: ast.AST, /) -> dict[str, Any]:
    """Return what the import statements inside a function bind."""
    found: dict[str, Any] = {}
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            for alias in part.names:
                module = importlib.import_module(alias.name)
                found[alias.asname or alias.name.partition(".")[0]] = (
                    module if alias.asname else sys.modules[alias.name.partition(".")[0]]
                )
        elif isinstance(part, ast.ImportFrom) and part.module and part.level == 0:
            module = importlib.import_module(part.module)
            found |= {alias.asname or alias.name: getattr(module, alias.name) for alias in part.names}
    return found


# ------------------------------------------------------------------------------------


def _text(target: FunctionType | type) -> str | None:
    module = sys.modules.get(target.__module__)
    scope = target.__globals__ if isinstance(target, FunctionType) else vars(module) if module else {}
    if SOURCE in scope:
        return scope[SOURCE]
    path = scope.get("__file__")
    return Path(path).read_text(encoding="utf-8") if path and Path(path).is_file() else None


@functools.lru_cache(maxsize=64)
def _definitions(text: str) -> dict[tuple[str, int], list[ast.AST]]:
    """Functions and lambdas by name and first line, classes by name and 0."""
    found: dict[tuple[str, int], list[ast.AST]] = {}
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.FunctionDef():
                found[node.name, min([node.lineno, *(d.lineno for d in node.decorator_list)])] = [node]
                node.returns = None
                _drop_docstring(node)
            case ast.ClassDef():
                found[node.name, 0] = [node]
                _drop_docstring(node)
            case ast.Lambda():
                found.setdefault((_LAMBDA, node.lineno), []).append(node)
            case ast.arg():
                node.annotation = None
    return found


def _drop_docstring(node: ast.FunctionDef | ast.ClassDef) -> None:
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]


@functools.cache
def _version(package: str) -> str:
    names = packages_distributions().get(package)
    return version(names[0]) if names else ""
