"""A finished run as its card tells it: what is needed to do it again, or to look into it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl

from mmf.bars import Interval, Series
from mmf.errors import DataError
from mmf.evaluation.replays import Line, named
from mmf.features.registry import FeatureSet, UserFeatures
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.lineage import features_of_code, needed_code
from mmf.pipeline.reports import read_card
from mmf.pipeline.state import TableState, in_interval, resolve_state
from mmf.scheduler import SchedulerMemory
from warehouse import Version, Warehouse
from warehouse.errors import NotFoundError


@dataclass(frozen=True)
class Finished:
    """A finished run as its card tells it.

    Attributes
    ----------
    folder : Path
        Its folder.
    card : mapping
        What lies there as card.json.
    series : Series
        What it was trained on.
    config : TrainConfig
        How.
    """

    folder: Path
    card: Mapping[str, Any]
    series: Series
    config: TrainConfig

    @classmethod
    def read(cls, folder: Path, /) -> Self:
        """Read a run's card.

        Raises
        ------
        DataError
            The card is not readable, lacks what a run is made again from, or is of several series.
        """
        card = read_card(folder)
        if absent := [name for name in ("series", "table_state", "definition_hash", "hashes") if name not in card]:
            raise DataError(f"the card of {card['run_id']} lacks {absent[0]}, so it cannot be done again. Train anew.")
        if not isinstance(card["series"], str):
            raise DataError(
                f"{card['run_id']} was trained on {len(card['series'])} series at once; only runs of one series can be "
                "replayed and audited. Train one of them: mmf train SERIES"
            )
        return cls(folder, card, Series.parse(card["series"]), TrainConfig.from_dict(card["config"]))

    @property
    def run_id(self) -> str:
        """Its name."""
        return self.card["run_id"]

    @property
    def version(self) -> str:
        """Feature version, such as `core@v1`."""
        return self.card["table_state"].partition("@S")[0]

    @property
    def memory(self) -> SchedulerMemory:
        """What the scheduler remembered; nothing where the card is older and does not say."""
        stored = self.card.get("scheduler_memory")
        return SchedulerMemory() if stored is None else SchedulerMemory.from_dict(stored)

    @property
    def tables(self) -> list[Series]:
        """The series and, in each context, that of the longer interval."""
        return [self.series, *(in_interval(self.series, Interval.parse(name)) for name in self.config.context)]

    def state(self, warehouse: Warehouse, /) -> TableState:
        """Return the table state that it read.

        Raises
        ------
        NotFoundError
            Its snapshot is not there any more.
        DataError
            The warehouse calls another table so.
        """
        state = resolve_state(warehouse, self.series, self.card["table_state"])
        if state.definition_hash != self.card["definition_hash"]:
            raise DataError(
                f"{state} has the definitions {state.definition_hash[:12]} in this warehouse, {self.run_id} read "
                f"{self.card['definition_hash'][:12]}: it was trained in another one. Name that: --warehouse DIR"
            )
        return state

    def recorded(self, warehouse: Warehouse, /) -> Line:
        """Compare the card in the folder with the one that the warehouse recorded."""
        try:
            recorded = warehouse.run(self.run_id).card
        except NotFoundError:
            why = "this warehouse has no record of the run. Was it trained in another? Name it: --warehouse DIR"
            return Line("run card", "not compared", detail=why)
        names = [name for name in {**recorded, **self.card} if recorded.get(name) != self.card.get(name)]
        if not names:
            return Line("run card", "same", detail="as the warehouse recorded it.")
        told = f"the card in {self.folder} was altered: {named(names)}. As it was recorded: mmf runs show {self.run_id}"
        return Line("run card", "differs", detail=told)

    def features(self, user: UserFeatures, versions: list[Version], /) -> tuple[FeatureSet | None, str]:
        """Return the set that computes its columns, or None and which code would."""
        features = features_of_code(self.version.partition("@")[0], user)
        if features is not None and features.definition_hash == self.card["definition_hash"]:
            return features, ""
        version = next((one for one in versions if one.name == self.version), None)
        return None, needed_code(version, user) if version else f"this warehouse has no {self.version}."

    def predictions(self) -> pl.DataFrame:
        """Read its stored predictions.

        Raises
        ------
        DataError
            They are not readable.
        """
        path = self.folder / "predictions.parquet"
        try:
            return pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{path} cannot be read: {error}. Train again: mmf train {self.series}") from error
