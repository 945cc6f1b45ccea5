"""Two tellings of one run: what its card says, and what came out when it was done again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

Status = Literal["same", "differs", "not compared"]

HASHES = ("training_rows", "judged_rows", "selection", "refined_rows", "predictions")

_N_NAMED = 5


@dataclass(frozen=True)
class Line:
    """One thing compared.

    Attributes
    ----------
    what : str
        Such as `training rows`.
    status : {"same", "differs", "not compared"}
        How it came out.
    recorded, found : str
        What the card says, and what came out; hashes are cut to 12 digits.
    detail : str
        In what they differ, or why they were not compared and what to do.
    """

    what: str
    status: Status
    recorded: str = ""
    found: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Replay:
    """A run done again.

    Attributes
    ----------
    run_id : str
        Which run.
    lines : tuple of Line
        In the order in which one thing follows from another: the first difference is nearest to the cause.
    causes : tuple of str
        What is not as it was when the run was made; the likely causes where something differs.
    """

    run_id: str
    lines: tuple[Line, ...]
    causes: tuple[str, ...] = ()

    @property
    def answer(self) -> Literal["same", "differs", "incomplete"]:
        """Same only where everything was compared."""
        statuses = {line.status for line in self.lines}
        return "differs" if "differs" in statuses else "incomplete" if "not compared" in statuses else "same"

    @property
    def headline(self) -> str:
        """The answer in a sentence."""
        match self.answer:
            case "same":
                return f"{self.run_id} came out the same: {len(self.lines)} of {len(self.lines)} things compared."
            case "differs":
                first = next(line.what for line in self.lines if line.status == "differs")
                return f"{self.run_id} came out otherwise. The first thing that differs: {first}."
            case "incomplete":
                missing = [line.what for line in self.lines if line.status == "not compared"]
                return f"{self.run_id} could not be compared whole. Not compared: {', '.join(missing)}."

    def as_dict(self) -> dict[str, Any]:
        """Return the replay as JSON types."""
        lines = [{name: getattr(line, name) for name in line.__dataclass_fields__} for line in self.lines]
        return {"run_id": self.run_id, "answer": self.answer, "lines": lines, "causes": list(self.causes)}


def compared(what: str, recorded: object, found: object, /, *, detail: str = "") -> Line:
    """Compare two values; the detail is told where they differ."""
    if recorded is None:
        return Line(what, "not compared", "", _short(found), "the card is older and does not say.")
    is_same = recorded == found
    return Line(what, "same" if is_same else "differs", _short(recorded), _short(found), "" if is_same else detail)


def compared_hashes(
    recorded: Mapping[str, str], found: Mapping[str, str], /, *, details: Mapping[str, str] | None = None
) -> list[Line]:
    """Compare the hashes of a card one by one with those that came out."""
    return [
        compared(name.replace("_", " "), recorded.get(name), found[name], detail=(details or {}).get(name, ""))
        for name in HASHES
    ]


def environment_changes(recorded: Mapping[str, Any], here: Mapping[str, Any], /) -> list[str]:
    """Say in which versions, and on which machine, a run was made otherwise than here."""
    before, now = ({**side.get("packages", {}), **_beside(side)} for side in (recorded, here))
    return [
        f"{name} was {before.get(name, 'absent')}, here it is {now.get(name, 'absent')}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]


def selection_difference(before: Sequence[str], now: Sequence[str], /) -> str:
    """Say which columns were selected then and not now, and the other way round."""
    gone, new = ([name for name in one if name not in set(other)] for one, other in ((before, now), (now, before)))
    if not gone and not new:
        return "the same columns in another order."
    return "; ".join(f"{how}: {named(names)}" for how, names in (("only then", gone), ("only now", new)) if names) + "."


def table_difference(before: pl.DataFrame, now: pl.DataFrame, /) -> str:
    """Say which columns of two tables with the same kinds of rows differ, and how far at most."""
    if before.height != now.height:
        return f"{before.height:,} rows then, {now.height:,} now."
    if before.columns != now.columns:
        return selection_difference(before.columns, now.columns)
    told = [
        (name, _furthest(before[name], now[name])) for name in before.columns if not _equal(before[name], now[name])
    ]
    if not told:
        return "the values are the same to the last bit but one: signs of zero, or types."
    far = [f"{name}{'' if by is None else f' by {by:.2g}'}" for name, by in told]
    return f"{len(told)} columns differ: {named(far)}."


def named(names: Sequence[str], /) -> str:
    """Return the first five of some names, and how many more there are."""
    more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
    return ", ".join(names[:_N_NAMED]) + more


# ------------------------------------------------------------------------------------


def _beside(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {name: environment[name] for name in ("python", "machine") if name in environment}


def _short(value: object) -> str:
    text = str(value)
    is_hash = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text[:12] if is_hash else text


def _equal(before: pl.Series, now: pl.Series) -> bool:
    return before.dtype == now.dtype and before.equals(now)


def _furthest(before: pl.Series, now: pl.Series) -> float | None:
    """Largest difference of two columns of numbers; None of others."""
    if not (before.dtype.is_numeric() and now.dtype.is_numeric()):
        return None
    return (before.cast(pl.Float64) - now.cast(pl.Float64)).abs().max()  # type: ignore[return-value]
