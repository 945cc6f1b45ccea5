"""Errors that the warehouse raises knowingly; each message ends with what to do next."""


class WarehouseError(Exception):
    """Root of every error that the warehouse raises on purpose."""


class NotFoundError(WarehouseError):
    """A warehouse, snapshot, table, run or inspection of this name does not exist."""


class InvalidNameError(WarehouseError):
    """A name holds characters that must not reach a path or SQL."""


class CatalogError(WarehouseError):
    """The directory is not a warehouse, or its catalog is damaged or newer than this code."""


class ReadOnlyError(WarehouseError):
    """A write to a warehouse that is open for reading only."""


class BusyError(WarehouseError):
    """Another process holds what this one waited for."""


class ConflictError(WarehouseError):
    """The commit was staged on a state that is no longer the latest."""


class SchemaError(WarehouseError):
    """The columns of a frame differ from those of its table."""


class StorageFullError(WarehouseError):
    """The disk took no more bytes; the last snapshot is whole."""


class LeaseLostError(WarehouseError):
    """A pinned snapshot missed its heartbeats, so its files may be gone."""
