"""The chunks of one feature table as the catalog knows them: what is settled, and what a build has to look at."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmf.bars import Series
from mmf.features.keys import code_key
from mmf.features.registry import FeatureSet
from mmf.pipeline.units import CUT, ChunkBars, Cut, Stretch, chunks_of, settled
from warehouse import DataFile, SeriesKey


@dataclass(frozen=True)
class Job:
    """One feature table to bring up to its bars."""

    series: Series
    features: FeatureSet

    @property
    def key(self) -> SeriesKey:
        """Series as the warehouse names it."""
        return SeriesKey(*self.series.key)


@dataclass(frozen=True)
class ChunkPlan:
    """One chunk of a feature table.

    Attributes
    ----------
    bars : ChunkBars
        Where its bars are.
    live : tuple of DataFile
        Its files in the table now.
    settled : tuple of DataFile or None
        Its files after the build, where the catalog alone tells them.
    """

    bars: ChunkBars
    live: tuple[DataFile, ...]
    settled: tuple[DataFile, ...] | None

    @property
    def n_rows_due(self) -> int:
        """Count of rows to compute at most: where files of bars were rewritten, only reading tells."""
        if self.settled is not None:
            return 0
        if not self.bars.is_open or not self.live:
            return self.bars.n_rows
        return self.bars.n_rows_in(Stretch(self.live[-1].start, self.bars.reach.stop))

    @property
    def is_in_pieces(self) -> bool:
        """Whether it is closed, and its rows lie in more than one file."""
        return not self.bars.is_open and len(self.live) > 1


def chunk_plans(
    bars: Sequence[DataFile],
    live: Sequence[DataFile],
    known: Mapping[str, DataFile],
    /,
    *,
    head: str,
    cut: Cut = CUT,
) -> list[ChunkPlan]:
    """Look at each chunk of a series, in time order.

    Parameters
    ----------
    bars, live : sequence of DataFile
        Files of the bars, and of the table as it is, of one snapshot; sorted by start.
    known : mapping of str to DataFile
        Finished files by fingerprint.
    head : str
        See `fingerprint_head`.
    cut : Cut
        Sizes of chunks and pieces.
    """
    by_chunk: defaultdict[int, list[DataFile]] = defaultdict(list)
    for file in live:
        by_chunk[cut.layout.chunk_of(file.start)].append(file)
    plans = []
    for chunk in chunks_of(bars, cut):
        held = by_chunk[cut.layout.chunk_of(chunk.reach.start)]
        files = settled(head, chunk, held, known, cut.layout)
        plans.append(ChunkPlan(chunk, tuple(held), None if files is None else tuple(files)))
    return plans


def fingerprint_head(job: Job, version: str, cut: Cut, /) -> str:
    """Everything but the bars that decides rows and where they lie."""
    return f"{record_prefix(job, version)}{code_key(job.features, job.series.grid)} {cut.lead_bars}"


def record_prefix(job: Job, version: str, /) -> str:
    """Put before the name of a unit where it is recorded: equal bars of two series have one key, but two files."""
    return f"{version} {':'.join(job.key)} "
