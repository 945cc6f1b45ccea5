"""Units of a build: the stretches of a series that are keyed, computed and stored as one file each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from mmf.errors import DataError
from mmf.features.record import LEAD_BARS
from mmf.pipeline.tables import LAYOUT
from warehouse import DataFile, Layout


class Stretch(NamedTuple):
    """Half-open range of bar numbers."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Cut:
    """How a series is cut for building.

    Attributes
    ----------
    layout : Layout
        Chunks and pieces; that of the stored bars.
    lead_bars : int
        Stored bars that a chunk reads before its first own bar.
    """

    layout: Layout = LAYOUT
    lead_bars: int = LEAD_BARS


CUT = Cut()


@dataclass(frozen=True, slots=True)
class ChunkBars:
    """A chunk, and the files of bars that its rows depend on.

    Attributes
    ----------
    reach : Stretch
        Its bar numbers.
    is_open : bool
        Whether no bar of a later chunk is stored.
    lead, own : tuple of DataFile
        Files of its own bars, and of as many before them as it reads. The names of all these files stand for their
        values: files are immutable.
    """

    reach: Stretch
    is_open: bool
    lead: tuple[DataFile, ...]
    own: tuple[DataFile, ...]

    @property
    def n_rows(self) -> int:
        """Count of its own bars."""
        return sum(file.n_rows for file in self.own)

    def n_rows_in(self, stretch: Stretch, /) -> int:
        """Count the own bars of the files that overlap a stretch."""
        return sum(file.n_rows for file in self.own if file.start < stretch.stop and file.stop > stretch.start)


def chunks_of(files: Sequence[DataFile], cut: Cut, /) -> list[ChunkBars]:
    """Group the files of a series' bars, sorted by start, into its chunks.

    Raises
    ------
    DataError
        A file spans two chunks, so it was written with another layout.
    """
    places: dict[int, list[int]] = {}
    for place, file in enumerate(files):
        places.setdefault(cut.layout.chunk_of(file.start), []).append(place)
        if file.stop > cut.layout.chunk_range(cut.layout.chunk_of(file.start))[1]:
            raise DataError(
                f"{file.path} holds bars {file.start} to {file.stop}, which span two chunks of {cut.layout.chunk}. "
                "Bring the bars in anew with this version of the code, into a new warehouse."
            )
    newest = max(places, default=0)
    return [
        ChunkBars(
            Stretch(*cut.layout.chunk_range(chunk)),
            is_open=chunk == newest,
            lead=_lead(files[: own[0]], cut.lead_bars),
            own=tuple(files[place] for place in own),
        )
        for chunk, own in sorted(places.items())
    ]


def fingerprint_of(head: str, chunk: ChunkBars, unit: Stretch, /) -> str:
    """Name the inputs of a unit without reading a bar.

    Parameters
    ----------
    head : str
        Everything beside the bars: whose rows, which code, which cut.
    chunk : ChunkBars
        Chunk of the unit.
    unit : Stretch
        Its bar numbers.

    Returns
    -------
    str
        Sha256 over `head`, the unit and the hashes of all files that may hold a bar of its read set. Files may hold
        more than that, so equal inputs can have several fingerprints, but never two inputs one.
    """
    files = [f"{file.start} {file.stop} {file.sha256}" for file in (*chunk.lead, *chunk.own) if file.start < unit.stop]
    return sha256("\n".join([head, f"{unit.start} {unit.stop}", *files]).encode()).hexdigest()


def arrange(
    reach: Stretch,
    live: Sequence[Stretch],
    /,
    *,
    is_open: bool,
    newest: int,
    layout: Layout,
    has_bars: Callable[[int, int], bool],
    is_known: Callable[[Stretch], bool],
) -> tuple[list[Stretch], list[Stretch]]:
    """Decide which units of a chunk stay and which take the place of the others.

    A changed bar changes every later row of its chunk, so units stay up to the first that is not known; a closed chunk
    becomes one unit. In the open chunk all full pieces become one unit and the newest piece another, so that the next
    bar rewrites no more than a piece, and a build in one go writes two files rather than sixty.

    Parameters
    ----------
    reach : Stretch
        Of the chunk.
    live : sequence of Stretch
        Units in the table now, ascending.
    is_open : bool
        Whether the chunk is the newest.
    newest : int
        Newest bar number of the chunk, or any of its piece.
    layout : Layout
        Chunks and pieces.
    has_bars : callable(start, stop)
        Whether a bar is stored in this range.
    is_known : callable(unit)
        Whether its rows are what its bars give.

    Returns
    -------
    kept, rest : list of Stretch
        Units that stay, and units to put after them.
    """
    kept, done = [], reach.start
    for unit in live:
        if not is_known(unit):
            break
        kept.append(unit)
        done = unit.stop
    if not has_bars(done, reach.stop):
        return kept, []
    if not is_open:
        return [], [reach]
    first, stop = layout.piece_range(newest)
    rest = [Stretch(done, first), Stretch(max(done, first), stop)]
    return kept, [unit for unit in rest if unit.start < unit.stop and has_bars(*unit)]


def settled(
    head: str, chunk: ChunkBars, live: Sequence[DataFile], known: Mapping[str, DataFile], layout: Layout, /
) -> list[DataFile] | None:
    """Return the files of a chunk where the catalog alone tells that nothing is to be computed.

    Parameters
    ----------
    head : str
        See `fingerprint_of`.
    chunk : ChunkBars
        The chunk.
    live : sequence of DataFile
        Its files in the table now.
    known : mapping of str to DataFile
        Finished files by fingerprint.
    layout : Layout
        Chunks and pieces.
    """

    def file_of(unit: Stretch) -> DataFile | None:
        return known.get(fingerprint_of(head, chunk, unit))

    kept, rest = arrange(
        chunk.reach,
        [Stretch(file.start, file.stop) for file in live],
        is_open=chunk.is_open,
        newest=chunk.own[-1].stop - 1,
        layout=layout,
        has_bars=lambda start, stop: any(file.start < stop and file.stop > start for file in chunk.own),
        is_known=lambda unit: file_of(unit) is not None,
    )
    files = [file for unit in (*kept, *rest) if (file := file_of(unit)) is not None]
    return files if len(files) == len(kept) + len(rest) else None


# ------------------------------------------------------------------------------------


def _lead(before: Sequence[DataFile], lead_bars: int) -> tuple[DataFile, ...]:
    first, n_rows = len(before), 0
    while first > 0 and n_rows < lead_bars:
        first -= 1
        n_rows += before[first].n_rows
    return tuple(before[first:])
