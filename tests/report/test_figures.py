import pytest

from mmf.report.figures import alarms, configuration, headline, light, lineage, tiles
from tests.report.records import PERFORMANCE, VERDICT, card


@pytest.mark.parametrize(
    ("answer", "colour"),
    [("edge", "green"), ("inconclusive", "amber"), ("no edge", "red"), ("suspicious", "red"), ("unheard of", "grey")],
)
def test_the_light_has_the_colour_of_the_answer(answer: str, colour: str) -> None:
    shown = light(card(verdict=VERDICT | {"answer": answer}))
    assert (shown.colour, shown.word, len(shown.sentences)) == (colour, answer, 3)


def test_an_older_run_has_a_grey_light_and_scores_alone() -> None:
    old = card(verdict=None)
    assert light(old).colour == "grey"
    assert headline(old).startswith("This run has no verdict")
    assert [tile.name for tile in tiles(old)] == ["PR-AUC", "Independent rows"]


def test_key_figures() -> None:
    shown = {tile.name: (tile.value, tile.note) for tile in tiles(card())}
    assert shown["Net return"] == ("+2.1%", "98 % sure: -10% to +20%")
    assert shown["Buy and hold"] == ("+11.0%", "of the same stretch")
    assert shown["Timing adds"] == ("-5.0% to +14%", "98 % sure, to holding as much all the time")
    assert shown["Random entry times"] == ("4.0%", "did as well or better")
    assert shown["Sharpe, a year"] == ("1.23", "max. drawdown -5.1%")
    assert shown["Break-even cost"] == ("12.0 bps", "7.5 bps are paid a side")
    assert shown["Trials"] == ("2", "overfitting not known yet")
    close = {tile.name: tile.value for tile in tiles(card(verdict=VERDICT | {"timing": [0.001, 0.67]}))}
    assert close["Timing adds"] == "+0.1% to +67%"
    assert shown["PR-AUC"] == ("0.450", "coin 0.400, volatility 0.450")


def test_figures_that_are_undefined_are_dashes() -> None:
    nothing = PERFORMANCE | dict.fromkeys(("sharpe", "hit_rate", "break_even_cost"))
    verdict = VERDICT | {"performance": nothing, "p_random": None, "deflated_sharpe": None}
    shown = {tile.name: tile.value for tile in tiles(card(verdict=verdict))}
    assert {shown[name] for name in ("Sharpe, a year", "Break-even cost", "Random entry times")} == {"-"}


def test_alarms_are_the_reasons_of_the_findings() -> None:
    assert alarms(card(suspicious=[{"subject": "x", "reason": "too good"}])) == ["too good"]


def test_lineage_names_state_hashes_versions_and_configuration() -> None:
    told = {table.title: dict(table.frame.iter_rows()) for table in lineage(card())}
    assert told["Data lineage"]["table state"] == "core@v1@S2"
    assert told["Data lineage"]["rows.judged.count"] == "240"
    assert told["Hashes"]["predictions"] == "cd" * 32
    assert told["Versions"]["numpy"] == "2.4.6"
    assert told["Configuration"]["config.costs.fee"] == "0.00055"
    assert configuration(card())["config.lags"] == "1, 2"
