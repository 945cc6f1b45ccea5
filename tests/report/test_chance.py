from mmf.alpha_council import AlphaCouncil
from mmf.alpha_council.noise import noise_check
from mmf.alpha_council.stability import fold_stability
from mmf.report.chance import noise_charts, stability_charts
from tests.alpha_council.slow_rows import slow_rows

COUNCIL = AlphaCouncil(always_keep=(), n_estimators=5, n_folds=3)


def test_stability_is_drawn_with_the_most_stable_feature_on_top() -> None:
    stability = fold_stability(COUNCIL, slow_rows(lean=0.5), n_folds=3, n_estimators=5)
    periods, counts = stability_charts(stability)
    heat = periods.figure.data[0]
    assert list(heat.x) == ["period 1", "period 2", "period 3"]
    assert heat.y[-1] == stability.features["base"][0]
    assert list(heat.z[-1]) == [1.0, 1.0, 1.0]
    label, shifted = counts.figure.data
    assert list(label.y) == stability.counts["count_columns"].to_list()
    assert list(shifted.y) == stability.counts["mean_shifted"].to_list()


def test_without_a_shifted_label_stability_stands_alone() -> None:
    stability = fold_stability(COUNCIL, slow_rows(), n_folds=3, n_estimators=5, n_shifts=0)
    assert len(stability_charts(stability)[1].figure.data) == 1


def test_what_is_above_the_noise_is_drawn_beside_chance() -> None:
    check = noise_check(slow_rows(lean=0.3), n_shifts=4, every=2)
    (chart,) = noise_charts(check)
    label, chance = chart.figure.data
    above = check.counts.filter(rule="above_noise")
    assert list(label.y) == above["count_label"].to_list()
    reach = [y + up for y, up in zip(chance.y, chance.error_y.array, strict=True)]
    assert [round(value, 3) for value in reach] == above["max_shifted"].to_list()
    assert check.sentence in chart.caption
