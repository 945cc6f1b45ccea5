import pytest

from mmf.errors import CallError
from mmf.features.registry import SETS
from mmf.features.selection import by_family, select

KNOWN = SETS["core"]
GROUPS = by_family(KNOWN) | SETS


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["rsi_14"], ["rsi_14"]),
        (["hurst_200", "rsi_14"], ["rsi_14", "hurst_200"]),
        (["hurst_*"], ["hurst_100", "hurst_200"]),
        (["fdi_?00"], ["fdi_100", "fdi_200"]),
        (["chaos", "!*_100"], ["hurst_200", "entropy_200", "fdi_200"]),
        (["!chaos", "fdi_*"], ["fdi_100", "fdi_200"]),
        (["small", "!rsi_14"], ["fdi_200"]),
        (["rsi_14", "rsi_14", "rsi_1[45]"], ["rsi_14"]),
    ],
)
def test_names_globs_families_and_sets_select_in_canonical_order(wanted: list[str], names: list[str]):
    small = tuple(f for f in KNOWN if f.name in {"rsi_14", "fdi_200"})
    assert [f.name for f in select(wanted, KNOWN, GROUPS | {"small": small}, what="x")] == names


def test_core_selects_itself():
    assert select(["core"], KNOWN, GROUPS, what="x") == KNOWN


def test_families_keep_the_order_of_their_columns():
    assert list(by_family(KNOWN)) == ["price", "volatility", "momentum", "trend", "volume", "statistics", "chaos"]
    assert [f.name for f in by_family(KNOWN)["volume"]] == ["cmf_20", "obv_20", "obv_100", "obv_200"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rsi_15", r"mine: 'rsi_15' is no column, glob, family or set. Did you mean rsi_"),
        ("!chaoss", r"mine: 'chaoss' is no column, glob, family or set. Did you mean chaos\?"),
        ("zzzzzzzzzz", r"See them all: mmf features list"),
        ("rsi_14_lag_1", r"'rsi_14_lag_1' is no column"),
    ],
)
def test_what_selects_nothing_is_refused(text: str, message: str):
    with pytest.raises(CallError, match=message):
        select([text], KNOWN, GROUPS, what="mine")
