import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from mmf.errors import CallError
from mmf.features.hashing import source_hash
from mmf.features.registry import feature_set

ROOT = Path(__file__).parents[2]

HELPER = '''
FACTOR = 3.0
TABLE = {"a": (1, 2)}

def scaled(x):
    """Scale."""
    return x * FACTOR + TABLE["a"][0]

def unused(x):
    return x
'''
KERNEL = '''
import numpy as np
from numba import njit
from {package} import helper
from {package}.helper import scaled

SHIFT = np.array([1.0, 2.0])

def wrapper(x: np.ndarray) -> np.ndarray:
    """Doc."""
    return kernel(x) + helper.FACTOR

@njit(cache=False, nogil=True)
def kernel(x):
    total = 0.0  # a comment
    for value in x:
        total += scaled(value)
    return total + SHIFT[0]
'''


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    """Hash of `wrapper` in a package made of the two sources; each call makes a package of the same name anew."""
    monkeypatch.syspath_prepend(tmp_path)

    def build(kernel: str = KERNEL, helper: str = HELPER) -> str:
        folder = tmp_path / "pkg_to_hash"
        folder.mkdir(exist_ok=True)
        sources = {"__init__": "", "helper": helper, "kernel": kernel.replace("{package}", "pkg_to_hash")}
        modules = {}
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(source)
            full = "pkg_to_hash" if name == "__init__" else f"pkg_to_hash.{name}"
            monkeypatch.delitem(sys.modules, full, raising=False)
            search = [str(folder)] if name == "__init__" else None
            spec = importlib.util.spec_from_file_location(
                full, folder / f"{name}.py", submodule_search_locations=search
            )
            modules[name] = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, full, modules[name])
            if name != "__init__":
                setattr(modules["__init__"], name, modules[name])
            exec(compile(source, str(folder / f"{name}.py"), "exec"), modules[name].__dict__)
        return source_hash(modules["kernel"].wrapper)

    return build


def test_the_same_source_has_the_same_hash(hash_of):
    assert hash_of() == hash_of()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total = 0.0  # a comment", "total = 0.0  # another"),
        ('"""Doc."""', '"""Other words."""'),
        ('    """Doc."""\n', ""),
        ("total += scaled(value)", "total += scaled( value )\n"),
        ("def wrapper(x: np.ndarray) -> np.ndarray:", "def wrapper(x):"),
        ("SHIFT = np.array", "\n\n# moved\nSHIFT = np.array"),
    ],
)
def test_comments_docstrings_layout_and_hints_stay_out(hash_of, old: str, new: str):
    assert old in KERNEL
    assert hash_of(KERNEL.replace(old, new)) == hash_of()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total = 0.0", "total = 1.0"),
        ("SHIFT[0]", "SHIFT[1]"),
        ("[1.0, 2.0]", "[1.0, 2.5]"),
        ("nogil=True", "nogil=False"),
        ("kernel(x) +", "kernel(x) -"),
    ],
)
def test_an_edited_kernel_changes_the_hash(hash_of, old: str, new: str):
    assert old in KERNEL
    assert hash_of(KERNEL.replace(old, new)) != hash_of()


@pytest.mark.parametrize(
    ("old", "new"),
    [("x * FACTOR", "x / FACTOR"), ("FACTOR = 3.0", "FACTOR = 3.5"), ("(1, 2)", "(1, 3)")],
)
def test_an_edited_helper_or_its_constant_changes_the_hash(hash_of, old: str, new: str):
    assert old in HELPER
    assert hash_of(helper=HELPER.replace(old, new)) != hash_of()


@pytest.mark.parametrize(("old", "new"), [("Scale.", "Scaled."), ("    return x\n", "    return -x\n")])
def test_prose_and_unused_functions_of_a_helper_stay_out(hash_of, old: str, new: str):
    assert old in HELPER
    assert hash_of(helper=HELPER.replace(old, new)) == hash_of()


def test_a_constant_without_canonical_form_is_refused(hash_of):
    with pytest.raises(CallError, match=r"constant pkg_to_hash\..*FACTOR is a object"):
        hash_of(helper=HELPER.replace("FACTOR = 3.0", "FACTOR = object()"))


def test_source_that_is_nowhere_is_refused():
    scope: dict = {"__name__": "nowhere"}
    exec("def made_of_text(x): return x", scope)
    with pytest.raises(CallError, match="Write it as a `def`"):
        source_hash(scope["made_of_text"])


def test_the_hash_is_the_same_in_another_process():
    code = "from mmf.features.registry import feature_set; print(feature_set('core').definition_hash)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env={"PYTHONHASHSEED": "7"}
    )
    assert run.stdout.strip() == feature_set("core").definition_hash
