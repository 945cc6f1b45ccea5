import json
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from cli.options import one_series
from cli.settings import Settings, known_names, read_settings
from mmf.errors import CallError
from mmf.labels import LabelConfig


def test_without_a_file_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings().pick("market.days", None, 730) == 730


def test_flag_wins_over_file_over_default(tmp_path: Path) -> None:
    path = tmp_path / "mmf.toml"
    path.write_text('seed = 3\n[market]\nsymbols = ["ETHUSDT"]\ndays = 90\n')
    settings = read_settings(path)
    assert settings.pick("market.days", 30, 730) == 30
    assert settings.pick("market.days", None, 730) == 90
    assert settings.pick("seed", None, 0) == 3
    assert settings.section("market") == {"symbols": ["ETHUSDT"], "days": 90}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[markets]\n", r"unknown section \[markets\]. Known: market"),
        ("[market]\nday = 3\n", "unknown name market.day. Known there: exchange"),
        ('[market]\ndays = "many"\n', "market.days = 'many', expected int"),
        ("[market]\ndays = true\n", "market.days = True, expected int"),
        ("[market]\ninterval = 1.5\n", "market.interval = 1.5, expected str or int"),
        ("[market]\nsymbols = [1]\n", r"market.symbols = \[1\], expected a list of at least one str"),
        ("[market]\nsymbols = []\n", r"market.symbols = \[\], expected a list of at least one str"),
        ('[features]\nlags = ["a"]\n', r"features.lags = \['a'\], expected a list of at least one int"),
        ("[features]\nlags = [true]\n", r"features.lags = \[True\], expected a list of at least one int"),
        ("[features.sets]\nmine = 3\n", r"features.sets = \{'mine': 3\}, expected names, each with a list of at least"),
        ("[features.sets]\nmine = []\n", r"features.sets = \{'mine': \[\]\}, expected names, each with a list"),
        (
            '[features]\nsets = ["mine"]\n',
            r"features.sets = \['mine'\], expected names, each with a list of at least one",
        ),
        ("[split]\ntest_share = true\n", "split.test_share = True, expected float"),
        ("[label]\nhurdle = nan\n", "label.hurdle = nan, expected float"),
        ('[label]\nbarrier = "far"\n', "label.barrier = 'far', expected 'percent' or 'atr'"),
        ("[label]\nfar = 1\n", "unknown name label.far. Known there: kind, horizon"),
        ("[market\n", "is not TOML"),
    ],
)
def test_a_faulty_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mmf.toml"
    path.write_text(text)
    with pytest.raises(CallError, match=message):
        read_settings(path)


def test_a_whole_number_may_stand_for_a_float(tmp_path: Path) -> None:
    path = tmp_path / "mmf.toml"
    path.write_text("[split]\ntest_share = 1\n[council]\ntop_ratio = 1\n[label]\nhurdle = 0\n")
    values = read_settings(path).values
    assert values == {"split.test_share": 1.0, "council.top_ratio": 1.0, "label.hurdle": 0.0}
    assert {type(value) for value in values.values()} == {float}


def test_every_field_of_a_label_can_be_set(tmp_path: Path) -> None:
    label = LabelConfig(
        kind="triple_barrier",
        horizon=12,
        hurdle=0.01,
        barrier="atr",
        take_profit=0.03,
        stop_loss=0.02,
        take_profit_atr=3.0,
        stop_loss_atr=1.5,
    )
    assert not [f.name for f in fields(label) if getattr(label, f.name) == getattr(LabelConfig(), f.name)]
    path = tmp_path / "mmf.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in asdict(label).items()]
    path.write_text("\n".join(["[label]", *lines]))
    assert LabelConfig(**read_settings(path).section("label")) == label


def test_the_documented_file_holds_every_name_and_no_other(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    path = tmp_path / "mmf.toml"
    path.write_text(page.partition("```toml\n")[2].partition("```")[0])
    names = {f"{section}.{name}".lstrip(".") for section, values in known_names().items() for name in values}
    assert read_settings(path).values.keys() == names


def test_one_series_is_named_by_option_file_or_default() -> None:
    nothing = {"exchange": None, "category": None, "symbol": None, "interval": None}
    several = Settings(values={"market.symbols": ["ETHUSDT", "SOLUSDT"], "market.interval": 15})
    assert str(one_series(Settings(), **nothing)) == "bybit:linear:BTCUSDT:60"
    assert str(one_series(Settings(values={"market.symbols": ["ETHUSDT"]}), **nothing)) == "bybit:linear:ETHUSDT:60"
    assert str(one_series(several, **nothing | {"symbol": "SOLUSDT"})) == "bybit:linear:SOLUSDT:15"
    with pytest.raises(CallError, match=r"names 2 symbols \(ETHUSDT, SOLUSDT\), and one is wanted here. Name it, such"):
        one_series(several, **nothing)


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="there is no configuration file"):
        read_settings(tmp_path / "absent.toml")


def test_settings_without_values_are_empty() -> None:
    assert Settings().section("label") == {}
