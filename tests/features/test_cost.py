from mmf.features.cost import Cost, measured_cost
from mmf.features.registry import FeatureSet, feature_set
from tests.reference.bars import bars_of_close, walk


def test_columns_of_one_pass_share_its_cost():
    core = feature_set("core")
    chosen = FeatureSet("chosen", tuple(f for f in core.features if f.name in {"rsi_14", "rsi_21", "hurst_200"}))
    costs = measured_cost(chosen, bars_of_close(walk(2_000)), repeats=2)

    assert list(costs) == ["rsi_14", "rsi_21", "hurst_200"]
    assert costs["rsi_14"] == costs["rsi_21"]
    assert [cost.n_columns for cost in costs.values()] == [2, 2, 1]
    assert all(0 < cost.us_per_bar < 1_000 for cost in costs.values())


def test_a_share_is_a_part_of_the_whole():
    assert Cost(us_per_bar=6.0, n_columns=3).of_one == 2.0
