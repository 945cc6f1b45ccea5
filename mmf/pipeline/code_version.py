"""Which code computes: a hash of MMF's own source, and of the packages that numbers hang on."""

import functools
import hashlib
from pathlib import Path

import mmf


@functools.cache
def source_version() -> str:
    """Return the sha256 over every Python file of the package `mmf`: its path and its bytes.

    Coarse on purpose: what was computed by other code is computed again, also where only a comment has changed.
    """
    root = Path(mmf.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
