from dataclasses import replace

import numpy as np
import pytest

from mmf.errors import CallError, DataError, LeakError
from mmf.rows import Rows, TrainingRows, rows_near, stacked


def rows_of(n: int = 4) -> Rows:
    time = np.arange(n, dtype=np.int64)
    x = np.column_stack([time, time * 10]).astype(np.float32)
    return Rows(time, x, ("a", "b"), np.array([0.0, 1.0, 0.0, 1.0])[:n], time + 3)


def test_columns_are_addressed_by_name() -> None:
    assert rows_of().select(("b", "a")).x[1].tolist() == [10.0, 1.0]


def test_an_absent_column_is_named() -> None:
    with pytest.raises(DataError, match="'c' is not among the 2 columns"):
        rows_of().select(("a", "c"))


def test_parts_of_different_length_do_not_make_rows() -> None:
    rows = rows_of()
    with pytest.raises(CallError, match="do not fit together"):
        Rows(rows.open_time_ms[:2], rows.x, rows.columns, rows.label, rows.label_end_ms)


def test_rows_whose_label_is_known_in_time_may_train() -> None:
    assert len(TrainingRows.of(rows_of(), known_before_ms=6)) == 4


def test_a_row_whose_label_ends_later_is_a_leak() -> None:
    with pytest.raises(LeakError, match="1 of 4 training rows"):
        TrainingRows.of(rows_of(), known_before_ms=5)


def test_taking_and_selecting_keeps_the_guard() -> None:
    training = TrainingRows.of(rows_of(), known_before_ms=6)
    assert isinstance(training.take(np.array([0, 2])).select(("a",)), TrainingRows)


def of_two() -> Rows:
    """A at 0, 1, 2 and B at 1, 2, 3."""
    time = np.array([0, 1, 1, 2, 2, 3], np.int64)
    code = np.array([0, 0, 1, 0, 1, 1], np.int64)
    x = np.column_stack([time * 10 + code]).astype(np.float32)
    return Rows(time, x, ("a",), np.zeros(6), time + 3, symbols=("A", "B"), symbol=code)


def test_rows_of_several_symbols_are_stacked_by_time_and_symbol_whatever_the_order() -> None:
    rows = of_two()
    parts = [rows.of_symbol(code).among(rows.symbols) for code in (1, 0)]
    for order in (parts, parts[::-1]):
        again = stacked(order)
        assert again.x.tobytes() == rows.x.tobytes()
        assert again.symbol.tolist() == rows.symbol.tolist()
    assert rows.symbol_names.to_list() == ["A", "A", "B", "A", "B", "B"]
    assert (np.diff(rows.keys) > 0).all()
    assert rows.n_together == 1.5


def test_symbols_out_of_order_are_refused() -> None:
    with pytest.raises(CallError, match="must ascend"):
        replace(of_two(), symbols=("B", "A"))


def test_columns_that_tell_symbols_apart_go_by_name() -> None:
    rows = of_two().with_symbol_columns()
    assert rows.columns == ("a", "symbol=A", "symbol=B")
    assert rows.matrix(("symbol=B",))[:, 0].tolist() == [0, 0, 1, 0, 1, 1]
    assert rows_of().with_symbol_columns().columns == ("a", "b")


def test_a_symbol_that_is_not_among_others_is_named() -> None:
    with pytest.raises(DataError, match="B is not among the symbols A, C"):
        of_two().among(("A", "C"))


def test_symbols_take_turns_so_that_as_many_rows_are_left_as_one_has() -> None:
    rows = of_two().in_turn()
    assert list(zip(rows.open_time_ms.tolist(), rows.symbol.tolist(), strict=True)) == [(0, 0), (1, 1), (2, 0), (3, 1)]


def test_rows_near_reach_back_in_each_symbol_by_its_own_rows() -> None:
    rows = of_two()
    near = rows_near(rows.open_time_ms, rows.symbol, first_ms=2, last_ms=2, reach=1)
    assert near.tolist() == [1, 2, 3, 4]  # B's row before is at 1, and so is A's
    late = rows_near(rows.open_time_ms, rows.symbol, first_ms=3, last_ms=3, reach=2)
    assert late.tolist() == [1, 2, 3, 4, 5]  # A has no row at 3, yet its last two are there


def test_a_label_of_one_symbol_that_reaches_into_the_judged_rows_is_a_leak() -> None:
    rows = of_two()
    assert len(TrainingRows.of(rows, known_before_ms=6)) == 6
    late = rows.label_end_ms + np.where(rows.symbol == 1, 10, 0)
    with pytest.raises(LeakError, match="3 of 6 training rows"):
        TrainingRows.of(replace(rows, label_end_ms=late), known_before_ms=6)


def test_unlabelled_rows_cannot_train() -> None:
    rows = rows_of()
    rows.label[2] = np.nan
    with pytest.raises(DataError, match="must have labels"):
        TrainingRows.of(rows, known_before_ms=6)
