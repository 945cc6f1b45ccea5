"""Table states: which feature version of which series, in which snapshot."""

import re
from dataclasses import dataclass

from mmf.bars import Series
from mmf.errors import CallError, DataError
from warehouse import Warehouse

_STATE = re.compile(r"(?P<set>[a-z][a-z0-9_]*)(@v(?P<number>\d+))?(@S(?P<snapshot>\d+))?")


@dataclass(frozen=True)
class TableState:
    """A feature table at one moment; written `core@v3@S17`.

    Attributes
    ----------
    series : Series
        Whose rows.
    version : str
        Feature version, such as `core@v3`.
    snapshot : int
        Snapshot of the warehouse.
    columns : tuple of str
        Base columns of that version.
    definition_hash : str
        Hash of the definitions that computed them.
    """

    series: Series
    version: str
    snapshot: int
    columns: tuple[str, ...]
    definition_hash: str

    def __str__(self) -> str:
        return f"{self.version}@S{self.snapshot}"


def resolve_state(warehouse: Warehouse, series: Series, text: str, /) -> TableState:
    """Find the table state that `core`, `core@v3` or `core@v3@S17` names.

    Without a number the newest version, without a snapshot the newest snapshot.

    Raises
    ------
    CallError
        The text does not name a table state.
    DataError
        The warehouse has no such version.
    """
    match = _STATE.fullmatch(text)
    if match is None:
        raise CallError(f"{text!r} names no feature table. Write core, core@v3 or core@v3@S17.")
    versions = [v for v in warehouse.versions(match["set"]) if match["number"] in {None, str(v.number)}]
    if not versions:
        raise DataError(
            f"the warehouse has no feature version {text.partition('@S')[0]}. "
            f"Build it with: mmf features build {series} --set {match['set']}"
        )
    newest = versions[-1]
    with warehouse.pin(int(match["snapshot"]) if match["snapshot"] else None) as snapshot:
        return TableState(
            series=series,
            version=f"{newest.set_name}@v{newest.number}",
            snapshot=snapshot.id,
            columns=tuple(definition["name"] for definition in newest.definitions),
            definition_hash=newest.definition_hash,
        )
