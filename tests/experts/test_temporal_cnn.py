from pathlib import Path

import numpy as np
import pytest
import torch

from mmf.errors import CallError, DataError
from mmf.experts.protocol import EpochRecord, Session
from mmf.experts.temporal_cnn import CONTEXT_BARS, CausalNetwork, TemporalCNN
from mmf.scheduler import Effort

RNG = np.random.default_rng(5)
BARS = RNG.normal(size=(1_400, 6)).astype(np.float32)
LABEL = (BARS[:, 0] + RNG.normal(scale=0.5, size=1_400) > 0).astype(np.float64)


def small(**settings: object) -> TemporalCNN:
    return TemporalCNN(channels=16, segment_bars=300, **settings)


@pytest.fixture(scope="module")
def fitted() -> TemporalCNN:
    return small().fit(BARS, LABEL, effort=Effort(epochs=2))


def test_an_answer_reads_316_bars() -> None:
    assert CONTEXT_BARS + 1 == 316


def test_it_has_about_600_thousand_parameters() -> None:
    network = CausalNetwork(34, channels=128, dropout=0.2)
    assert 550_000 < sum(p.numel() for p in network.parameters()) < 650_000


def test_one_pass_equals_windows_of_316_bars_fed_one_by_one(fitted: TemporalCNN) -> None:
    whole = fitted.predict_proba(BARS)
    for row in (315, 316, 700, 1_399):
        window = fitted.predict_proba(BARS[row - CONTEXT_BARS : row + 1])
        assert window[-1] == pytest.approx(whole[row], abs=1e-6)


def test_the_first_bars_of_a_history_read_zeros_before_them(fitted: TemporalCNN) -> None:
    mean = np.repeat(fitted.standardiser_.mean[None], CONTEXT_BARS, axis=0)
    with_mean = fitted.predict_proba(np.concatenate([mean, BARS[:400]]))
    assert with_mean[CONTEXT_BARS:] == pytest.approx(fitted.predict_proba(BARS[:400]), abs=1e-6)


@pytest.mark.parametrize("changed", [400, 900, 1_399])
def test_changed_bars_leave_earlier_answers_as_they_were(fitted: TemporalCNN, changed: int) -> None:
    other = BARS.copy()
    other[changed:] += 3.0
    before, after = fitted.predict_proba(BARS), fitted.predict_proba(other)
    assert np.array_equal(before[:changed], after[:changed])
    assert before[changed] != after[changed]


def test_an_answer_reads_exactly_as_far_back_as_it_says(fitted: TemporalCNN) -> None:
    reach = []
    for row in range(500, 620, 10):
        other = BARS.copy()
        other[row] = -8 * np.sign(BARS[row])
        moved = np.flatnonzero(fitted.predict_proba(BARS) != fitted.predict_proba(other))
        assert moved.min() == row
        reach.append(moved.max() - row)
    assert max(reach) == CONTEXT_BARS


def test_long_histories_are_answered_in_parts_without_a_seam(fitted: TemporalCNN, monkeypatch) -> None:
    whole = fitted.predict_proba(BARS)
    monkeypatch.setattr("mmf.experts.temporal_cnn.PREDICTED_BARS", 333)
    assert fitted.predict_proba(BARS) == pytest.approx(whole, abs=1e-6)


def test_it_learns_a_few_bars_by_heart() -> None:
    noise = RNG.integers(0, 2, 700).astype(np.float64)
    cnn = small(dropout=0.0, learning_rate=5e-3, weight_decay=0.0, seed=1)
    cnn.fit(BARS[:700], noise, effort=Effort(epochs=60))
    told = cnn.predict_proba(BARS[:700])[CONTEXT_BARS:]
    assert ((told > 0.5) == noise[CONTEXT_BARS:]).mean() > 0.95


def test_it_finds_a_pattern_in_time_that_no_single_bar_shows() -> None:
    momentum = np.convolve(BARS[:, 1], np.ones(8), "full")[: len(BARS)]
    label = (momentum > 0).astype(np.float64)
    cnn = small(learning_rate=3e-3).fit(BARS[:1_100], label[:1_100], effort=Effort(epochs=25))
    told = cnn.predict_proba(BARS)[1_100:]
    assert ((told > 0.5) == label[1_100:]).mean() > 0.75


def test_rows_of_early_stopping_and_rows_without_label_are_not_trained_on() -> None:
    held = np.arange(len(BARS)) >= 1_200
    unknown = (np.arange(len(BARS)) >= 1_150) & ~held
    label = np.where(unknown, np.nan, LABEL)
    other_label = np.where(unknown, np.nan, np.where(held, 1 - LABEL, LABEL))
    records: list[EpochRecord] = []
    told = Session(stop_on=held, on_epoch=lambda _, record: records.append(record))
    first = small(patience=9).fit(BARS, label, effort=Effort(epochs=2), session=told)
    second = small(patience=9).fit(BARS, other_label, effort=Effort(epochs=2), session=Session(stop_on=held))
    assert [r.loss for r in first.history_] == [r.loss for r in second.history_]
    assert [r.validation_loss for r in first.history_] != [r.validation_loss for r in second.history_]
    assert tuple(records) == first.history_
    assert np.array_equal(
        first.standardiser_.mean, small().fit(BARS[:1_150], LABEL[:1_150], effort=Effort(1, 1)).standardiser_.mean
    )


def test_purged_rows_are_as_rows_without_label() -> None:
    held, purged = np.arange(len(BARS)) >= 1_200, (np.arange(len(BARS)) >= 1_150) & (np.arange(len(BARS)) < 1_200)
    session = Session(stop_on=held, purged=purged)
    first = small().fit(BARS, LABEL, effort=Effort(epochs=2), session=session)
    unknown = np.where(purged, np.nan, LABEL)
    second = small().fit(BARS, unknown, effort=Effort(epochs=2), session=Session(stop_on=held))
    assert first.history_ == second.history_


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(fitted: TemporalCNN) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        again = small().fit(BARS, LABEL, effort=Effort(epochs=2))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(again.predict_proba(BARS), fitted.predict_proba(BARS))
    other = small(seed=1).fit(BARS, LABEL, effort=Effort(epochs=2))
    assert not np.array_equal(other.predict_proba(BARS), fitted.predict_proba(BARS))


def test_a_resumed_fit_predicts_what_an_uninterrupted_one_does(tmp_path: Path, fitted: TemporalCNN) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small().fit(BARS, LABEL, effort=Effort(epochs=2), session=Session(folder=tmp_path, on_epoch=interrupt))
    resumed = small().fit(BARS, LABEL, effort=Effort(epochs=2), session=Session(folder=tmp_path))
    assert np.array_equal(resumed.predict_proba(BARS), fitted.predict_proba(BARS))


def test_stored_and_restored_it_predicts_the_same_bits(fitted: TemporalCNN) -> None:
    restored = small().restore(fitted.state())
    assert np.array_equal(restored.predict_proba(BARS), fitted.predict_proba(BARS))
    assert restored.vital_signs() == fitted.vital_signs()


@pytest.mark.parametrize("lost", ["mean", "network.head.bias"])
def test_a_stored_state_that_lacks_something_is_refused(fitted: TemporalCNN, lost: str) -> None:
    state = fitted.state()
    del state[lost]
    with pytest.raises(DataError, match="does not fit"):
        small().restore(state)


def test_too_short_a_history_is_refused() -> None:
    with pytest.raises(DataError, match="315 bars before each row"):
        small().fit(BARS[:315], LABEL[:315], effort=Effort(epochs=1))
    with pytest.raises(CallError, match="reads 316 bars"):
        CausalNetwork(2, channels=4, dropout=0.0)(torch.zeros(1, 315, 2))
