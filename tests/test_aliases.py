from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.aliases import Alias, Link, chain, family, read_aliases
from mmf.errors import CallError, DataError, MMFError

SPOT = ("binance", "spot")


def step(symbol: str, successor: str, ratio: float = 1.0) -> Alias:
    return Alias(*SPOT, symbol, successor, "rename" if ratio == 1 else "redenomination", ratio)


def written(folder: Path, **fields: object) -> Path:
    entry = {
        "exchange": "binance",
        "category": "spot",
        "symbol": "OLD",
        "successor": "NEW",
        "kind": "rename",
        "ratio": 1,
    }
    lines = [f"{name} = {value!r}" for name, value in (entry | fields).items() if value is not None]
    path = folder / "own.toml"
    path.write_text("\n".join(["version = 1", "[[alias]]", *lines]))
    return path


def test_matic_became_pol() -> None:
    aliases = read_aliases()
    assert chain("MATICUSDT", aliases, market=SPOT) == (Link("MATICUSDT", 1.0), Link("POLUSDT", 1.0))
    (matic,) = [a for a in aliases if a.symbol == "MATICUSDT" and (a.exchange, a.category) == SPOT]
    assert (matic.ended_ms, matic.began_ms) == (1_725_937_200_000, 1_726_221_600_000)
    assert chain("MATICUSDT", aliases, market=("kraken", "spot")) == (Link("MATICUSDT", 1.0),)


def test_a_hundred_lend_made_one_aave() -> None:
    assert chain("LENDUSDT", read_aliases(), market=SPOT)[0] == Link("LENDUSDT", 0.01)


def test_chains_multiply_their_ratios_and_several_may_end_in_one() -> None:
    steps = [step("A", "B", 100.0), step("B", "C", 0.5), step("X", "C")]
    assert chain("A", steps, market=SPOT) == (Link("A", 50.0), Link("B", 0.5), Link("C", 1.0))
    everyone = (Link("A", 50.0), Link("B", 0.5), Link("C", 1.0), Link("X", 1.0))
    for name in "ABCX":
        assert family(name, steps, market=SPOT) == everyone
    assert family("Z", steps, market=SPOT) == (Link("Z", 1.0),)


@given(st.permutations([step("A", "B", 100.0), step("B", "C", 0.5), step("C", "D"), step("X", "C")]))
def test_the_order_of_the_steps_does_not_matter(steps: list[Alias]) -> None:
    assert [link.symbol for link in chain("A", steps, market=SPOT)] == ["A", "B", "C", "D"]


def test_the_users_own_file_adds_and_replaces(tmp_path: Path) -> None:
    own = written(tmp_path, symbol="MATICUSDT", successor="XUSDT")
    assert chain("MATICUSDT", read_aliases(own), market=SPOT)[-1].symbol == "XUSDT"
    own = written(tmp_path, symbol="POLUSDT", successor="XUSDT", kind="redenomination", ratio=10)
    assert chain("MATICUSDT", read_aliases(own), market=SPOT)[0] == Link("MATICUSDT", 10.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"successor": None}, "alias 1: successor is missing"),
        ({"note": "x"}, "alias 1: note is missing, no text, or unknown"),
        ({"symbol": "../up"}, "is not a symbol"),
        ({"exchange": "Binance!"}, "is not a name"),
        ({"ratio": 0, "kind": "redenomination"}, "ratio 0 is not a positive"),
        ({"ratio": None}, "ratio None is not a positive"),
        ({"ratio": 2}, "kind 'rename' does not fit ratio 2"),
        ({"kind": "redenomination"}, "kind 'redenomination' does not fit ratio 1"),
        ({"kind": "merger"}, "kind 'merger' does not fit"),
        ({"ended": "2024"}, "ended 2024 is not an instant"),
        ({"successor": "OLD"}, "run in a circle: OLD"),
        ({"symbol": "POLUSDT", "successor": "MATICUSDT"}, "run in a circle"),
    ],
)
def test_a_faulty_file_is_refused_with_the_place(tmp_path: Path, fields: dict, message: str) -> None:
    with pytest.raises(MMFError, match=message):
        read_aliases(written(tmp_path, **fields))


def test_what_is_no_such_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    with pytest.raises(CallError, match="cannot be read"):
        read_aliases(path)
    path.write_text("[[")
    with pytest.raises(DataError, match="is not TOML"):
        read_aliases(path)
    path.write_text("version = 2")
    with pytest.raises(DataError, match="has version 2"):
        read_aliases(path)
