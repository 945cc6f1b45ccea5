import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mmf.alpha_council.noise import noise_check
from mmf.alpha_council.ranking import anova_f, standardise
from mmf.errors import CallError, DataError, LeakError
from mmf.rows import Rows, TrainingRows
from tests.alpha_council.slow_rows import slow_rows

LEANING = {"f00", "f00_lag_1", "f01", "f01_lag_1", "f02"}


def counts_of(check, rule):
    rows = check.counts.filter(rule=rule)
    return dict(zip(rows["min_votes"], rows.iter_rows(named=True), strict=True))


def share_above(f):
    """Share of columns whose F on the first label exceeds that on all others."""
    return float((f[0] > f[1:].max(axis=0)).mean())


def test_columns_that_lean_on_the_label_stand_out_of_the_noise():
    check = noise_check(slow_rows(lean=0.3), every=2)

    above = check.columns.filter("is_above").group_by("column").len()
    assert set(above.filter(pl.col("len") >= 2)["column"]) >= LEANING
    row = counts_of(check, "above_noise")[2]
    assert len(check.above()) == row["count_label"] >= 5
    assert set(check.above()) >= LEANING
    assert len(check.above(3)) == counts_of(check, "above_noise")[3]["count_label"]
    assert check.sentence.startswith(f"{row['count_label']} columns are above the noise of two voters")
    assert check.sentence.endswith("5% of all labels have as many, the label among them: chance gives that rarely.")
    assert row["share_as_many"] == check.chance == 0.05
    assert row["false_discovery"] < 0.4


def test_where_there_is_nothing_to_find_no_more_passes_than_on_shifted_labels():
    rows = [counts_of(noise_check(slow_rows(seed=seed, p=20), every=4), "above_noise")[1] for seed in range(6)]

    # the share of labels with as many is spread over 0.05 to 1, not gathered below
    assert np.mean([row["share_as_many"] for row in rows]) > 0.3
    assert sum(row["share_as_many"] <= 0.05 for row in rows) <= 2
    assert np.mean([row["count_label"] for row in rows]) / 20 < 0.35  # chance alone gives 1 - 0.95^3 = 0.14


def test_what_chance_gives_too_is_said():
    check = noise_check(slow_rows(seed=3, p=20), every=4)

    assert counts_of(check, "above_noise")[2]["share_as_many"] > 0.05
    assert check.sentence.endswith("so chance gives that too.")


def test_the_rule_of_the_council_passes_about_half_on_noise_too():
    row = counts_of(noise_check(slow_rows()), "top_share")[2]

    assert row["count_label"] == pytest.approx(15, abs=4)
    assert row["mean_shifted"] == pytest.approx(15, abs=4)


def test_shuffled_labels_would_flatter():
    """Why labels are shifted: against shuffled ones slow columns that know nothing look like discoveries."""
    random = np.random.default_rng(0)
    shuffled, shifted = [], []
    for seed in range(4):
        rows = slow_rows(seed=seed, keep=0.995)
        Z, label = standardise(np.asfortranarray(rows.x)), rows.label.astype(np.int64)
        of_shuffled = np.array([anova_f(Z, label), *(anova_f(Z, random.permutation(label)) for _ in range(19))])
        shuffled.append(share_above(of_shuffled))
        of_columns = noise_check(rows, every=1).columns.filter(voter="linear")
        shifted.append(of_columns["is_above"].mean())

    assert np.mean(shuffled) > 0.4
    assert np.mean(shifted) < 0.15


def test_scores_are_those_of_the_voters_on_the_rows_taken():
    rows = slow_rows()

    linear = noise_check(rows, n_shifts=3, every=2).columns.filter(voter="linear")

    order = np.argsort(rows.columns)
    Z = standardise(np.asfortranarray(rows.x[::2][:, order]))
    label = rows.label.astype(np.int64)
    turned = [np.roll(label, len(label) * part // 4)[::2] for part in range(4)]
    assert linear["column"].to_list() == sorted(rows.columns)
    np.testing.assert_allclose(linear["score"], anova_f(Z, turned[0]))
    np.testing.assert_allclose(linear["noise"], np.max([anova_f(Z, of) for of in turned[1:]], axis=0))
    assert linear["is_above"].to_list() == (linear["score"] > linear["noise"]).to_list()


def test_does_not_depend_on_threads_or_on_the_order_of_columns():
    rows = slow_rows(p=12)
    order = np.random.default_rng(0).permutation(12)
    other = rows.select(tuple(rows.columns[j] for j in order))

    one, two = noise_check(rows, n_shifts=3, n_jobs=1), noise_check(other, n_shifts=3, n_jobs=3)

    assert_frame_equal(one.columns, two.columns, check_exact=True)
    assert_frame_equal(one.counts, two.counts, check_exact=True)


def test_the_report_is_json_and_progress_ends_at_one():
    shares = []

    report = noise_check(slow_rows(p=6), n_shifts=4, on_progress=shares.append).as_dict()

    assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert (report["count_shifts"], report["chance"], len(report["counts"])) == (4, 0.2, 6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kind": Rows}, LeakError, "training rows only"),
        ({"n_shifts": 1}, CallError, "at least 2 shifts"),
        ({"every": 0}, CallError, "every 0"),
        ({"n_shifts": 100}, DataError, "2400 training rows are too few for 100 shifted labels"),
        ({"spoilt": np.nan}, DataError, "1 values to score are undefined"),
        ({"label": 1.0}, DataError, "one class only"),
    ],
)
def test_wrong_calls_and_rows_are_refused(change, error, message):
    rows, options = slow_rows(p=6), {name: change[name] for name in ("n_shifts", "every") if name in change}
    x = rows.x.copy()
    x[3, 3] = change.get("spoilt", x[3, 3])
    label = np.full(len(rows), change["label"]) if "label" in change else rows.label
    plain = Rows(rows.open_time_ms, x, rows.columns, label, rows.label_end_ms)
    given = plain if "kind" in change else TrainingRows.of(plain, known_before_ms=rows.known_before_ms)

    with pytest.raises(error, match=message):
        noise_check(given, **options)
