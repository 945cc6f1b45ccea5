import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse import Layout


@pytest.mark.parametrize(
    ("first", "last", "newest", "expected"),
    [
        (0, 0, None, [(0, 4)]),
        (3, 4, None, [(0, 4), (4, 8)]),
        (0, 16, None, [(0, 16), (16, 20)]),
        (5, 5, 16, [(0, 16)]),
        (17, 18, 31, [(16, 20)]),
        (15, 33, None, [(0, 16), (16, 32), (32, 36)]),
        (2, 1, None, []),
    ],
)
def test_pieces_of_known_ranges(first: int, last: int, newest: int | None, expected: list[tuple[int, int]]) -> None:
    assert Layout(chunk=16, piece=4).pieces(first, last, newest=newest) == expected


@given(first=st.integers(0, 300), length=st.integers(0, 300), beyond=st.integers(0, 100))
def test_pieces_cover_each_number_once_and_only_the_open_chunk_is_cut(first: int, length: int, beyond: int) -> None:
    layout, last = Layout(chunk=32, piece=8), first + length
    ranges = layout.pieces(first, last, newest=last + beyond)
    covered = [number for start, stop in ranges for number in range(start, stop)]
    assert covered == list(range(ranges[0][0], ranges[-1][1]))
    assert ranges[0][0] <= first
    assert last < ranges[-1][1]
    for start, stop in ranges:
        is_closed = layout.is_closed(layout.chunk_of(start), last + beyond)
        assert stop - start == (32 if is_closed else 8)
        assert layout.chunk_of(start) == layout.chunk_of(stop - 1)
        assert any(first <= number <= last for number in range(start, stop))


def test_chunk_range_is_the_inverse_of_chunk_of() -> None:
    layout = Layout()
    assert layout.chunk_range(layout.chunk_of(480_000)) == (475_136, 491_520)
    assert layout.piece_range(480_000) == (480_000, 480_256)


def test_a_piece_must_divide_the_chunk() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        Layout(chunk=100, piece=30)
