"""Arithmetic of chunks and pieces: which ranges of bar numbers a table is stored in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """Bar numbers cut into chunks, and the open chunk into pieces.

    A chunk is closed once a bar of a later chunk exists. Closed chunks are stored whole, the open one in pieces, so
    that one new bar rewrites one piece.

    Attributes
    ----------
    chunk : int
        Bar numbers in a chunk.
    piece : int
        Bar numbers in a piece; divides `chunk`.

    Examples
    --------
    >>> Layout(chunk=16_384, piece=256).pieces(16_000, 16_700)
    [(0, 16384), (16384, 16640), (16640, 16896)]
    """

    chunk: int = 16_384
    piece: int = 256

    def __post_init__(self) -> None:
        if self.piece <= 0 or self.chunk % self.piece:
            raise ValueError(f"a piece of {self.piece} bars does not divide a chunk of {self.chunk}.")

    def chunk_of(self, number: int, /) -> int:
        """Return the chunk that holds a bar number."""
        return int(number) // self.chunk

    def chunk_range(self, chunk: int, /) -> tuple[int, int]:
        """Return the half-open range of bar numbers of a chunk."""
        return int(chunk) * self.chunk, (int(chunk) + 1) * self.chunk

    def piece_range(self, number: int, /) -> tuple[int, int]:
        """Return the half-open range of the piece that holds a bar number."""
        start = int(number) // self.piece * self.piece
        return start, start + self.piece

    def is_closed(self, chunk: int, newest: int, /) -> bool:
        """Whether a bar of a later chunk exists, `newest` being the newest bar number."""
        return chunk < self.chunk_of(newest)

    def pieces(self, first: int, last: int, /, *, newest: int | None = None) -> list[tuple[int, int]]:
        """Return the ranges that cover the bar numbers `first` to `last`, both included.

        Parameters
        ----------
        first, last : int
            Bar numbers to cover.
        newest : int, optional
            Newest bar number of the series; `last` by default. Its chunk is open.

        Returns
        -------
        list of (int, int)
            Half-open and ascending: whole chunks where closed, pieces in the open chunk.
        """
        if first > last:
            return []
        newest = last if newest is None else newest
        ranges: list[tuple[int, int]] = []
        start = int(first)
        while start <= last:
            chunk = self.chunk_of(start)
            closed = self.is_closed(chunk, newest)
            ranges.append(self.chunk_range(chunk) if closed else self.piece_range(start))
            start = ranges[-1][1]
        return ranges
