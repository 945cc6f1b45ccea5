"""The storage layer: immutable Parquet files, snapshots of them in a SQLite catalog, SQL over a pinned snapshot."""

from warehouse.commits import Commit
from warehouse.layout import Layout
from warehouse.names import SeriesKey
from warehouse.records import Run, Version
from warehouse.snapshots import Snapshot, SnapshotInfo
from warehouse.tables import DataFile
from warehouse.warehouse import Warehouse

__all__ = [
    "Commit",
    "DataFile",
    "Layout",
    "Run",
    "SeriesKey",
    "Snapshot",
    "SnapshotInfo",
    "Version",
    "Warehouse",
]
