"""Runs by name, `latest` or `previous`."""

import re
from collections.abc import Iterable
from pathlib import Path

from mmf.errors import CallError

LATEST, PREVIOUS = "latest", "previous"
_RUN_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")


def named_run(run: str, known: Iterable[str], /, *, where: object) -> str:
    """Return which of the known runs is meant; names sort by time.

    Raises
    ------
    CallError
        It is none of them; the message says what there is.

    Examples
    --------
    >>> named_run("previous", ["20260101T000000-a", "20260102T000000-b"], where="here")
    '20260101T000000-a'
    """
    names = sorted(known)
    if run == LATEST and names:
        return names[-1]
    if run == PREVIOUS and len(names) > 1:
        return names[-2]
    if run in names and _RUN_NAME.fullmatch(run):
        return run
    few = f" The newest is {names[-1]}." if names else " It holds none yet: mmf run --offline, or mmf demo."
    raise CallError(f"there is no run {run!r} in {where}.{few} See them: mmf runs list")


def run_folder(artifacts: Path, run: str, /) -> Path:
    """Return the folder of a run; folders without a card are none.

    Raises
    ------
    CallError
        There is no such run in these artifacts, or it is no name of a run.
    """
    runs = artifacts / "runs"
    return runs / named_run(run, (path.parent.name for path in runs.glob("[!.]*/card.json")), where=runs)
