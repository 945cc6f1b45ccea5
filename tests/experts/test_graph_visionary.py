from pathlib import Path

import numpy as np
import pytest
import torch

from mmf.errors import CallError, DataError
from mmf.experts.graph_visionary import GraphNetwork, GraphVisionary
from mmf.experts.protocol import Session
from mmf.scheduler import Effort

RNG = np.random.default_rng(3)
N, S, P = 500, 3, 5
PANEL = RNG.normal(size=(N, S, P)).astype(np.float32)
PRESENT = RNG.random((N, S)) > 0.1
LABEL = np.where(PRESENT, (PANEL[:, :, 0] > 0).astype(float), np.nan)


def small(**settings: object) -> GraphVisionary:
    return GraphVisionary(hidden=8, batch_bars=100, **settings)


@pytest.fixture(scope="module")
def fitted() -> GraphVisionary:
    return small().fit(PANEL, LABEL, present=PRESENT, effort=Effort(epochs=3))


def test_absent_symbols_have_no_probability(fitted: GraphVisionary) -> None:
    told = fitted.predict_proba(PANEL, present=PRESENT)
    assert np.array_equal(np.isnan(told), ~PRESENT)
    assert ((told[PRESENT] > 0) & (told[PRESENT] < 1)).all()


def test_the_order_of_symbols_does_not_matter(fitted: GraphVisionary) -> None:
    order = [2, 0, 1]
    told = fitted.predict_proba(PANEL, present=PRESENT)
    other = fitted.predict_proba(PANEL[:, order], present=PRESENT[:, order])
    assert other == pytest.approx(told[:, order], abs=1e-6, nan_ok=True)


def test_a_fit_does_not_hang_on_the_order_of_symbols(fitted: GraphVisionary) -> None:
    order = [2, 0, 1]
    settings = {"present": PRESENT[:, order], "effort": Effort(epochs=3)}
    other = small(dropout=0.0).fit(PANEL[:, order], LABEL[:, order], **settings)
    same = small(dropout=0.0).fit(PANEL, LABEL, present=PRESENT, effort=Effort(epochs=3))
    told = same.predict_proba(PANEL, present=PRESENT)
    assert other.predict_proba(PANEL[:, order], present=PRESENT[:, order]) == pytest.approx(
        told[:, order], abs=1e-4, nan_ok=True
    )


def test_what_an_absent_symbol_would_say_is_not_heard(fitted: GraphVisionary) -> None:
    wild = np.where(PRESENT[:, :, None], PANEL, 1e6).astype(np.float32)
    assert np.array_equal(
        fitted.predict_proba(wild, present=PRESENT), fitted.predict_proba(PANEL, present=PRESENT), equal_nan=True
    )


def test_a_symbol_that_is_never_there_changes_nothing(fitted: GraphVisionary) -> None:
    more = np.concatenate([PANEL, np.zeros((N, 1, P), np.float32)], axis=1)
    there = np.concatenate([PRESENT, np.zeros((N, 1), bool)], axis=1)
    told = fitted.predict_proba(more, present=there)[:, :S]
    assert told == pytest.approx(fitted.predict_proba(PANEL, present=PRESENT), abs=1e-6, nan_ok=True)


def test_one_symbol_listens_to_itself(fitted: GraphVisionary) -> None:
    alone = PANEL[:, :1], np.ones((N, 1), bool)
    assert (fitted.glance(alone[0], present=alone[1]).attention == 1).all()
    assert np.isfinite(fitted.predict_proba(alone[0], present=alone[1])).all()


def test_an_instant_without_any_symbol_is_no_accident(fitted: GraphVisionary) -> None:
    empty = PRESENT.copy()
    empty[40] = False
    told = fitted.predict_proba(PANEL, present=empty)
    assert np.isnan(told[40]).all()
    assert np.isfinite(told[41][empty[41]]).all()


def test_attention_sums_to_one_over_those_present_and_has_no_small_weights(fitted: GraphVisionary) -> None:
    attention = fitted.glance(PANEL, present=PRESENT).attention
    rows = attention[PRESENT]
    assert rows.sum(axis=1) == pytest.approx(1)
    there = np.broadcast_to(PRESENT[:, None, :], attention.shape)[PRESENT]
    assert (rows[~there] == 0).all()
    assert (rows[rows > 0] >= 0.01).all()


def test_weak_voices_are_cut_and_the_rest_renormalised() -> None:
    network = GraphNetwork(P, hidden=4, dropout=0.0).eval()
    said = torch.zeros(1, 3, 4)
    with torch.no_grad():
        network.query.weight.zero_()
        network.query.bias.fill_(1.0)
        network.key.weight.copy_(torch.eye(4))
        network.key.bias.zero_()
        said[0, 0] = 3.0  # score 6 against 0: the others would get 0.0025 each
        weights = network._attention(said, torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool))
    assert weights[0, 1].tolist() == [1.0, 0.0, 0.0]


def test_two_hundred_equal_symbols_still_listen_to_each_other() -> None:
    network = GraphNetwork(P, hidden=4, dropout=0.0).eval()
    with torch.no_grad():
        weights = network._attention(torch.zeros(1, 200, 4), torch.zeros(1, 200), torch.ones(1, 200, dtype=torch.bool))
    assert weights.sum(dim=-1).allclose(torch.ones(1, 200))


def test_lively_symbols_are_listened_to_by_two_tanh_of_the_difference() -> None:
    network = GraphNetwork(P, hidden=4, dropout=0.0).eval()
    energy = torch.tensor([[0.1, 0.9]])
    with torch.no_grad():
        weights = network._attention(torch.zeros(1, 2, 4), energy, torch.ones(1, 2, dtype=torch.bool))
    bias = 2 * np.tanh(0.8)
    assert weights[0, 0, 1].item() == pytest.approx(np.exp(bias) / (1 + np.exp(bias)), rel=1e-5)
    assert weights[0, 1, 0].item() == pytest.approx(np.exp(-bias) / (1 + np.exp(-bias)), rel=1e-5)


def test_energies_lie_between_0_and_1(fitted: GraphVisionary) -> None:
    energy = fitted.glance(PANEL, present=PRESENT).energy
    assert np.array_equal(np.isnan(energy), ~PRESENT)
    assert ((energy[PRESENT] > 0) & (energy[PRESENT] < 1)).all()


def test_changed_bars_leave_earlier_answers_as_they_were_and_are_read_for_16_bars(fitted: GraphVisionary) -> None:
    everywhere = np.ones((N, S), bool)
    other = PANEL.copy()
    other[300] += 3.0
    moved = fitted.predict_proba(PANEL, present=everywhere) != fitted.predict_proba(other, present=everywhere)
    assert np.flatnonzero(moved.any(axis=1)).tolist() == list(range(300, 316))


def test_the_window_counts_a_symbols_own_bars(fitted: GraphVisionary) -> None:
    gap = np.ones((N, S), bool)
    gap[200:250, 1] = False
    other = PANEL.copy()
    other[195, 1] += 3.0
    moved = fitted.predict_proba(PANEL, present=gap) != fitted.predict_proba(other, present=gap)
    both_there = moved & gap
    assert np.flatnonzero(both_there[:, 1]).max() == 250 + 15 - 5


def test_it_learns_a_few_bars_by_heart() -> None:
    noise = RNG.integers(0, 2, (120, S)).astype(float)
    settings = {"dropout": 0.0, "learning_rate": 2e-2, "weight_decay": 0.0}
    model = GraphVisionary(hidden=32, batch_bars=60, **settings)
    model.fit(PANEL[:120], noise, present=np.ones((120, S), bool), effort=Effort(epochs=150))
    told = model.predict_proba(PANEL[:120], present=np.ones((120, S), bool))
    assert ((told > 0.5) == noise).mean() > 0.95


def test_it_hears_what_another_symbol_says() -> None:
    everywhere = np.ones((N, 2), bool)
    leader = PANEL[:, :2].copy()
    leader[:, :, 4] = [-1, 1]  # tells the follower from the leader
    label = np.column_stack([(leader[:, 1, 0] > 0).astype(float), np.full(N, np.nan)])
    model = small(dropout=0.0, learning_rate=2e-2).fit(
        leader[:400], label[:400], present=everywhere[:400], effort=Effort(epochs=40)
    )
    told = model.predict_proba(leader, present=everywhere)[400:, 0]
    assert ((told > 0.5) == label[400:, 0]).mean() > 0.85


def test_rows_of_early_stopping_are_not_trained_on() -> None:
    held = np.arange(N) >= 400
    other = np.where(held[:, None], 1 - LABEL, LABEL)
    first = small().fit(PANEL, LABEL, present=PRESENT, effort=Effort(epochs=2), session=Session(stop_on=held))
    second = small().fit(PANEL, other, present=PRESENT, effort=Effort(epochs=2), session=Session(stop_on=held))
    assert [r.loss for r in first.history_] == [r.loss for r in second.history_]
    assert [r.validation_loss for r in first.history_] != [r.validation_loss for r in second.history_]


def test_a_resumed_fit_predicts_what_an_uninterrupted_one_does(tmp_path: Path, fitted: GraphVisionary) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    settings = {"present": PRESENT, "effort": Effort(epochs=3)}
    with pytest.raises(KeyboardInterrupt):
        small().fit(PANEL, LABEL, session=Session(folder=tmp_path, on_epoch=interrupt), **settings)
    resumed = small().fit(PANEL, LABEL, session=Session(folder=tmp_path), **settings)
    assert np.array_equal(
        resumed.predict_proba(PANEL, present=PRESENT), fitted.predict_proba(PANEL, present=PRESENT), equal_nan=True
    )


def test_stored_and_restored_it_predicts_the_same_bits(fitted: GraphVisionary) -> None:
    restored = small().restore(fitted.state())
    assert np.array_equal(
        restored.predict_proba(PANEL, present=PRESENT), fitted.predict_proba(PANEL, present=PRESENT), equal_nan=True
    )
    assert restored.vital_signs() == fitted.vital_signs()


def test_bad_input_says_what_to_do(fitted: GraphVisionary) -> None:
    with pytest.raises(DataError, match="no labelled row"):
        small().fit(PANEL, np.full((N, S), np.nan), present=PRESENT, effort=Effort(epochs=1))
    with pytest.raises(CallError, match="panel is"):
        fitted.predict_proba(PANEL[:, 0], present=PRESENT)
    with pytest.raises(DataError, match="does not fit"):
        small().restore({"mean": torch.zeros(P)})
