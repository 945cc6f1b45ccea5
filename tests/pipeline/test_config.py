import json
from dataclasses import replace

import pytest

from mmf.errors import CallError, DataError
from mmf.labels import LabelConfig
from mmf.pipeline.config import TrainConfig

OTHER = replace(
    TrainConfig(days=None, seed=7, experts=("range", "stress"), context=("240",), lags=(1, 2)),
    label=LabelConfig(kind="triple_barrier", horizon=12),
)


@pytest.mark.parametrize("config", [TrainConfig(), OTHER])
def test_a_configuration_comes_back_from_its_card(config: TrainConfig) -> None:
    assert TrainConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_what_an_older_card_lacks_takes_its_default() -> None:
    assert TrainConfig.from_dict({"seed": 3}) == TrainConfig(seed=3)


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ({"colour": "red"}, "'colour', which this code does not know"),
        ({"label": {"kind": "hope"}}, "label kind 'hope' is unknown"),
        ({"label": 3}, "not readable"),
        ({"costs": {"bribe": 1.0}}, "not readable.*bribe"),
        ({"lags": None}, "not readable"),
    ],
)
def test_a_configuration_that_is_none_is_refused(stored: dict, told: str) -> None:
    with pytest.raises(DataError, match=told):
        TrainConfig.from_dict(stored)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"experts": ("cnn",), "use_tensor_flex": False}, "reads the refinery's latents: leave out --no-tensor-flex"),
        ({"experts": ()}, "name one at least"),
        ({"experts": ("stress", "stress")}, "each once"),
        ({"experts": ("hope",)}, "'hope' is unknown"),
    ],
)
def test_experts_that_cannot_be_used_are_refused_before_anything_is_read(settings: dict, told: str) -> None:
    with pytest.raises(CallError, match=told):
        TrainConfig(**settings)


def test_some_experts_do_without_the_refinery() -> None:
    assert TrainConfig(experts=("stress", "cnn"), use_tensor_flex=False).experts == ("stress", "cnn")
