"""Whether a run knew the future: what each check of a leak audit found, and the verdict of them all."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from mmf.bars import Interval
from mmf.labels import LabelConfig
from mmf.rows import Rows

Status = Literal["pass", "fail", "skipped"]
Group = Literal["Record", "Features", "Labels", "Split", "Selection", "Target proxies", "Model"]

CHECK_SCHEMA = {"check_name": pl.String(), "status": pl.String(), "finding": pl.String()}

_STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class Check:
    """One thing looked into.

    Attributes
    ----------
    group : str
        What it belongs to, such as `Features`.
    name : str
        What must hold, in words.
    status : {"pass", "fail", "skipped"}
        How it came out.
    finding : str
        What was measured, or why it was not.
    next_step : str
        What to do; empty where it passed.
    """

    group: Group
    name: str
    status: Status
    finding: str
    next_step: str = ""


@dataclass(frozen=True)
class LeakAudit:
    """All checks of one run.

    Attributes
    ----------
    run_id : str
        Which run.
    checks : tuple of Check
        In the order in which data flows.
    """

    run_id: str
    checks: tuple[Check, ...]

    @property
    def answer(self) -> Literal["clean", "leak found", "incomplete"]:
        """Clean only where every check passed."""
        statuses = {check.status for check in self.checks}
        return "leak found" if "fail" in statuses else "incomplete" if statuses != {"pass"} else "clean"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict in words."""
        by_status = {s: [check for check in self.checks if check.status == s] for s in ("pass", "fail", "skipped")}
        passed = f"{len(by_status['pass'])} of {len(self.checks)} checks passed."
        match self.answer:
            case "clean":
                return f"Nothing in {self.run_id} was seen to know the future.", passed, _WHAT_REMAINS
            case "leak found":
                first, *others = by_status["fail"]
                n_failed = f"{1 + len(others)} checks" if others else "one check"
                return (
                    f"{self.run_id} is not to be believed: {n_failed} failed.",
                    f"The first, and nearest to the cause: {first.name}. {first.finding}",
                    first.next_step or "Mend it, and train again.",
                )
            case "incomplete":
                names = ", ".join(check.name for check in by_status["skipped"])
                return f"What could be checked of {self.run_id} is clean.", passed, f"Not checked: {names}."

    def table(self) -> pl.DataFrame:
        """Return one row a check: check_name, status, finding."""
        rows = [(f"{check.group}: {check.name}", check.status, check.finding) for check in self.checks]
        return pl.DataFrame(rows, schema=CHECK_SCHEMA, orient="row")

    def as_dict(self) -> dict[str, Any]:
        """Return the audit as JSON types."""
        checks = [asdict(check) for check in self.checks]
        return {"run_id": self.run_id, "answer": self.answer, "sentences": list(self.sentences), "checks": checks}


_WHAT_REMAINS = "An audit finds what it looks for; it does not prove that there is an edge."


def judged_check(group: Group, name: str, faults: Sequence[str], finding: str, /, *, next_step: str) -> Check:
    """Return a check that fails with its first fault, and passes with the finding without one."""
    more = f" ({len(faults) - 1} more faults of this kind)" if len(faults) > 1 else ""
    return Check(group, name, "fail", faults[0] + more, next_step) if faults else Check(group, name, "pass", finding)


def expected_labels(bars: pl.DataFrame, interval: Interval, config: LabelConfig, /) -> np.ndarray:
    """Label bars one by one, the slow way, for comparison with `mmf.labels.make_labels`.

    Parameters
    ----------
    bars : pl.DataFrame
        open_time, high, low, close of one series in order.

    Returns
    -------
    np.ndarray
        (n,) 1.0, 0.0, NaN where the horizon is not over.
    """
    times = bars["open_time"].to_physical().to_numpy()
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    ends = times + config.horizon * interval.ms
    if config.kind == "hurdle":
        place = np.minimum(np.searchsorted(times, ends), len(times) - 1)
        rises = (close[place] / close - 1 > config.hurdle).astype(np.float64)
        return np.where(times[place] == ends, rises, np.nan)
    labels = np.full(len(times), np.nan)
    stops = np.searchsorted(times, ends, side="right")
    for i in np.flatnonzero(ends <= times[-1]):
        later = slice(i + 1, stops[i])
        stopped = _first(low[later] <= close[i] * (1 - config.stop_loss))
        taken = _first(high[later] >= close[i] * (1 + config.take_profit))
        labels[i] = float(taken < stopped)
    return labels


def label_faults(used: Rows, expected: np.ndarray, /, *, interval: Interval, horizon: int, last_ms: int) -> list[str]:
    """Say what is wrong with the labels of rows.

    Parameters
    ----------
    used : Rows
        The rows of the run.
    expected : np.ndarray
        (n,) from `expected_labels`.
    last_ms : int
        open_time of the newest bar that there is.
    """
    faults = []
    differs = ~((used.label == expected) | (np.isnan(used.label) & np.isnan(expected)))
    if differs.any():
        at = _instant(used.open_time_ms[differs][0])
        faults.append(f"{int(differs.sum()):,} labels are not what the bars give, the first at {at}.")
    is_open = used.open_time_ms + horizon * interval.ms > last_ms
    if n_early := int((is_open & ~np.isnan(used.label)).sum()):
        faults.append(f"{n_early:,} rows have a label though their horizon is not over.")
    known = used.open_time_ms + (horizon + 1) * interval.ms
    if n_wrong := int((used.label_end_ms != known).sum()):
        faults.append(f"{n_wrong:,} labels are said to be known at another time than {horizon} intervals on.")
    return faults


def expected_split(rows: Rows, /, *, test_share: float) -> tuple[np.ndarray, int, int]:
    """Cut rows in time by plain counting: places of the training rows, first judged open_time, and count purged."""
    labelled = np.flatnonzero(~np.isnan(rows.label))
    n_before = int(np.floor(round((1 - test_share) * len(labelled), 6)))
    start_ms = int(rows.open_time_ms[labelled[n_before]])
    before = labelled[:n_before]
    kept = before[rows.label_end_ms[before] <= start_ms]
    return kept, start_ms, len(before) - len(kept)


def chance_interval(label: np.ndarray, /, *, horizon: int) -> tuple[float, float]:
    """Return what the AUC of a model that knows nothing stays within, three standard errors to each side.

    One row in a horizon counts as independent.
    """
    known = label[~np.isnan(label)]
    n = len(known) / horizon
    ones = max(1.0, n * known.mean())
    zeros = max(1.0, n - ones)
    error = _STANDARD_ERRORS * float(np.sqrt((ones + zeros + 1) / (12 * ones * zeros)))
    return max(0.0, 0.5 - error), min(1.0, 0.5 + error)


# ------------------------------------------------------------------------------------


def _first(is_touched: np.ndarray) -> int:
    """Place of the first bar that touches; beyond the last where none does."""
    return int(is_touched.argmax()) if is_touched.any() else len(is_touched)


def _instant(ms: int) -> str:
    return f"{np.datetime64(int(ms), 'ms').astype('datetime64[m]')}".replace("T", " ")
