import sys
from types import ModuleType

import pytest
import scipy

import mmf
from mmf.features.source import USER_PREFIX, label_of, origin_of, syntax_of
from mmf.features.user import feature


@pytest.mark.parametrize(
    ("module", "origin"),
    [
        ("mmf.features.price", ""),
        ("tests.features.test_source", ""),
        (f"{USER_PREFIX}0a1b", ""),
        ("math", "python"),
        ("collections.abc", "python"),
        ("builtins", "python"),
        ("numpy.linalg", "numpy"),
        ("polars", "polars"),
        ("scipy.signal", f"scipy {scipy.__version__}"),
    ],
)
def test_a_module_is_ours_or_a_package_of_some_version(module: str, origin: str):
    assert origin_of(module) == origin


def test_mmf_counts_by_its_source_where_it_is_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mmf, "__file__", "/usr/lib/python3/site-packages/mmf/__init__.py")
    assert origin_of("mmf.features.price") == ""


def test_a_folder_without_init_is_read_as_well(monkeypatch: pytest.MonkeyPatch):
    module = ModuleType("folder_of_helpers")
    module.__path__ = ["/home/quant/folder_of_helpers"]
    monkeypatch.setitem(sys.modules, "folder_of_helpers", module)
    assert origin_of("folder_of_helpers.first") == ""


def test_lambdas_of_one_line_stand_together():
    first, second = (lambda x: x + 1), (lambda x: x + 2)
    assert len(syntax_of(first)) == len(syntax_of(second)) == 2


def test_a_label_names_module_and_place():
    assert label_of(feature) == "mmf.features.user.feature"
