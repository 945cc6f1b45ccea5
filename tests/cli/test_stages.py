import pytest

from cli.stages import show_refined
from mmf.pipeline.refine import Refined
from mmf.tensor_flex import TensorFlex
from tests.tensor_flex.planted import market


def test_every_reason_for_a_new_fit_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    flex = TensorFlex(n_shifts=2).fit_rows(market(200))
    show_refined(Refined(flex.names("selected"), flex, why_not_reused=("another window", "other columns")))
    assert "another window; other columns" in capsys.readouterr().out
