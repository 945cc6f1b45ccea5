import numpy as np
import pytest

from mmf.errors import CallError, DataError, LeakError
from mmf.rows import Rows, TrainingRows


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


def test_unlabelled_rows_cannot_train() -> None:
    rows = rows_of()
    rows.label[2] = np.nan
    with pytest.raises(DataError, match="must have labels"):
        TrainingRows.of(rows, known_before_ms=6)
