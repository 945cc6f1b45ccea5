from pathlib import Path

import pytest

from cli.settings import Settings, read_settings
from mmf.errors import CallError


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
        ('[market]\ndays = "many"\n', "market.days = 'many' is a str, expected int"),
        ("[market]\ndays = true\n", "is a bool, expected int"),
        ("[market\n", "is not TOML"),
    ],
)
def test_a_faulty_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mmf.toml"
    path.write_text(text)
    with pytest.raises(CallError, match=message):
        read_settings(path)


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="there is no configuration file"):
        read_settings(tmp_path / "absent.toml")


def test_settings_without_values_are_empty() -> None:
    assert Settings().section("label") == {}
