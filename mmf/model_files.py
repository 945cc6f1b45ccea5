"""Files of one model in a folder, under a manifest that names each with its sha256."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmf.errors import DataError

FORMAT = 1
MANIFEST = "manifest.json"


def write_files(folder: Path, contents: Mapping[str, bytes], /) -> None:
    """Write the files of a model durably, replacing those of the model that may be there.

    A file carries a part of its sha256 in its name, so a new model lies beside the old one until
    the manifest is replaced, in one rename: a process killed at any instant leaves one or the other
    whole. Files that the new manifest does not name are removed after it.

    Parameters
    ----------
    folder : Path
        Made where it does not exist; for one model alone.
    contents : mapping of str to bytes
        By name: lower-case letters, digits and _, with one suffix.

    Raises
    ------
    DataError
        The folder holds files that are not a model's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_foreign(folder)
    files = {name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in contents.items()}
    for name, data in contents.items():
        _write(folder / _stored_name(name, files[name]["sha256"]), data)
    manifest = {"format": FORMAT, "packages": {name: version(name) for name in _PACKAGES}, "files": files}
    _write(folder / MANIFEST, _canonical(manifest | {"sha256": _sha256(_canonical(manifest))}))
    kept = {MANIFEST, *(_stored_name(name, file["sha256"]) for name, file in files.items())}
    for path in [path for path in folder.iterdir() if path.name not in kept]:
        path.unlink()


def read_files(folder: Path, /) -> dict[str, bytes]:
    """Return what `write_files` wrote, each file checked against its sha256.

    Raises
    ------
    DataError
        There is no model; a file is absent, altered, cut off or not a model's; the format or
        scikit-learn is of another version.
    """
    manifest = _read_manifest(folder)
    _refuse_foreign(folder)
    return {name: _read(folder, name, file) for name, file in manifest["files"].items()}


# ------------------------------------------------------------------------------------

_PACKAGES = ("scikit-learn", "skops", "torch", "numpy")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\.[a-z]{1,16}")
_STORED_NAME = re.compile(r"(manifest\.json|[a-z][a-z0-9_]{0,63}\.[0-9a-f]{16}\.[a-z]{1,16})(\.tmp)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        stated = manifest.pop("sha256")
        is_whole = stated == _sha256(_canonical(manifest))
        written_by = manifest["packages"]["scikit-learn"]
        entries = [(name, file["sha256"], file["bytes"]) for name, file in manifest["files"].items()]
    except FileNotFoundError:
        raise DataError(f"there is no model in {folder}: {MANIFEST} is absent. Run: mmf train") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a model's manifest: {error!r}. Train the model again.") from error
    if not is_whole:
        raise DataError(f"{path} was altered after it was written. Train the model again.")
    _check_versions(path, manifest["format"], written_by)
    if not all(_NAME.fullmatch(name) and _SHA256.fullmatch(sha256) for name, sha256, _ in entries):
        raise DataError(f"{path} names a file that is not a model's. Do not use this model; train it again.")
    return manifest


def _check_versions(path: Path, model_format: int, scikit_learn: str) -> None:
    if model_format != FORMAT:
        raise DataError(f"{path} is of format {model_format}, this MMF reads format {FORMAT}. Train the model again.")
    # another version may read the same numbers and predict something else
    if scikit_learn != (here := version("scikit-learn")):
        raise DataError(
            f"{path} was written with scikit-learn {scikit_learn}, this is {here}. "
            f"Install scikit-learn=={scikit_learn} or train the model again."
        )


def _read(folder: Path, name: str, file: Mapping[str, Any]) -> bytes:
    path = folder / _stored_name(name, file["sha256"])
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is absent, though the manifest names it. Train the model again.") from None
    if len(data) != file["bytes"]:
        raise DataError(f"{path} has {len(data)} bytes, expected {file['bytes']}. Train the model again.")
    if _sha256(data) != file["sha256"]:
        raise DataError(f"{path} was altered: its sha256 is not the manifest's. Train the model again.")
    return data


def _refuse_foreign(folder: Path) -> None:
    foreign = sorted(path.name for path in folder.iterdir() if not _STORED_NAME.fullmatch(path.name))
    if foreign:
        raise DataError(
            f"{folder} holds {foreign[0]!r}, which is no file of a model. Move it away, or use another folder."
        )


def _write(path: Path, data: bytes) -> None:
    """Write under another name, then rename, each step on disk before the next."""
    draft = path.with_name(f"{path.name}.tmp")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _canonical(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True, indent=1).encode()


def _stored_name(name: str, sha256: str) -> str:
    stem, suffix = name.split(".")
    return f"{stem}.{sha256[:16]}.{suffix}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
