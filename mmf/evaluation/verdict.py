"""Would it have made money, and is that more than luck: the verdict of one backtest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from mmf.bars import Interval
from mmf.evaluation.backtest import Backtest, Costs, Performance, Rules, funding_by_bar
from mmf.evaluation.bootstrap import block_samples
from mmf.evaluation.portfolio import Desk, Portfolio, mean_of, performance_of, trade_all
from mmf.evaluation.random_entries import moved_together, random_schedules, schedule_returns, shared_returns
from mmf.evaluation.sharpe import deflated_sharpe

LEVEL = 0.01
HOPE = 0.10  # a result that one in ten random schedules beats is no sign of timing
MIN_TRADES = 10
N_SCHEDULES = 10_000
N_SAMPLES = 2_000

Answer = Literal["edge", "no edge", "inconclusive", "suspicious"]


@dataclass(frozen=True)
class Verdict:
    """The answer and what it rests on.

    Attributes
    ----------
    answer : {"edge", "no edge", "inconclusive", "suspicious"}
        `edge`: a gain, better than random entry times at the 1 % level with the number of trials allowed for, and
        `timing` above zero. `no edge`: a loss, or no better than one random schedule in ten. Else `inconclusive`.
        `suspicious` in place of anything but `no edge`: a column or a score may know the future; see `doubted`.
    sentences : tuple of str
        Three: the answer, what it was compared with, how far it may be trusted.
    performance : Performance
        Of the trades.
    p_random : float or None
        Share of exposure-matched random schedules that brought at least as much; None without trades.
    p_adjusted : float or None
        The chance that the best of all trials has such a share or a lower one.
    interval : tuple of float or None
        Net return of the whole range that holds with 98 % (1 % on either side).
    timing : tuple of float or None
        The same of what the trades brought beyond holding the same share of the market all the time.
    deflated_sharpe : float or None
        Probability that the Sharpe ratio exceeds that of the best of as many trials without skill.
    n_trials : int
        Trainings on this series so far, this one included.
    random_returns : np.ndarray
        (s,) net returns of the random schedules, for the picture.
    """

    answer: Answer
    sentences: tuple[str, str, str]
    performance: Performance
    p_random: float | None
    p_adjusted: float | None
    interval: tuple[float, float] | None
    timing: tuple[float, float] | None
    deflated_sharpe: float | None
    n_trials: int
    random_returns: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON takes it, without the random schedules."""
        facts = asdict(self)
        del facts["random_returns"]
        pairs = {name: None if facts[name] is None else list(facts[name]) for name in ("interval", "timing")}
        return facts | {"sentences": list(self.sentences)} | pairs


def judge_trades(
    desks: Sequence[Desk],
    signals: Sequence[np.ndarray],
    /,
    *,
    interval: Interval,
    rules: Rules,
    costs: Costs,
    n_trials: int,
    trial_variance: float | None = None,
    n_schedules: int = N_SCHEDULES,
    seed: int = 0,
) -> tuple[Verdict, Portfolio]:
    """Backtest signals and judge what came of it.

    Parameters
    ----------
    desks, signals, interval, rules, costs
        See `mmf.evaluation.portfolio.trade_all`; the verdict is on all symbols together.
    n_trials : int
        Trainings on this series so far, this one included: the more were tried, the less the best of them means.
    trial_variance : float, optional
        See `mmf.evaluation.sharpe.deflated_sharpe`.
    n_schedules : int
        Random schedules at least; 200 a trial where that is more.
    seed : int
        Draws random schedules and bootstrap samples.

    Notes
    -----
    The random schedules keep the trades' number, lengths and clusters and pay the same costs; they are placed anew on
    the same bars. What is left is timing. They hold the market's path fixed; that the same timing would have gained on
    another path is told by a stationary block bootstrap, with blocks of twice the horizon, of the equity's returns
    less those of the market at the same exposure. (The bootstrap of the returns themselves, `interval`, is mostly about
    where the market went: a year that falls by half hides any timing, one that doubles looks like it.) Trials are
    allowed for as if they were independent (Sidak), which is severe where they resemble each other.

    Several symbols move together, and so do what a model says of them: random schedules of each drawn apart would
    spread less than the trades they are compared with. All symbols' trades of a stretch of time are moved together, and
    so are those of one symbol where several may be open at once.
    """
    result = trade_all(desks, signals, interval=interval, rules=rules, costs=costs)
    found = performance_of(result, interval=interval, rules=rules)
    returns = np.diff(np.log(np.concatenate([[1.0], result.whole.equity["equity"].to_numpy()])))
    n_drawn = max(n_schedules, 200 * n_trials)  # an edge after many trials needs a very small share
    paid = [funding_by_bar(desk.bars, desk.funding, interval=interval) for desk in desks]
    random_returns = _random_returns(desks, result, rules, costs, paid, n_schedules=n_drawn, seed=seed)
    if found.n_trades == 0:
        return _without_trades(found, n_trials), result
    p = float((1 + (random_returns >= np.log1p(found.net_return) - 1e-12).sum()) / (1 + len(random_returns)))
    p_adjusted = float(-np.expm1(n_trials * np.log1p(-p))) if p < 1 else 1.0
    bounds, timing = _bounds((returns, returns - _held_evenly(desks, result, paid)), rules, seed=seed)
    answer = _answer(found, p, p_adjusted, timing[0])
    verdict = Verdict(
        answer=answer,
        sentences=_sentences(answer, found, (p, p_adjusted), (bounds, timing), n_trials),
        performance=found,
        p_random=p,
        p_adjusted=p_adjusted,
        interval=bounds,
        timing=timing,
        deflated_sharpe=deflated_sharpe(returns, n_trials=n_trials, trial_variance=trial_variance),
        n_trials=n_trials,
        random_returns=np.expm1(random_returns),
    )
    return verdict, result


def doubted(verdict: Verdict, suspects: Sequence[str], /) -> Verdict:
    """Take a verdict back where columns or models may know the future: what they gain is no evidence.

    Parameters
    ----------
    verdict : Verdict
        Of the trades.
    suspects : sequence of str
        Names of what is suspicious (`mmf.evaluation.suspicion.Finding.subject`), the worst first; the verdict stays
        as it is where there are none, and where it finds no edge.
    """
    names = list(dict.fromkeys(suspects))
    if not names or verdict.answer == "no edge":
        return verdict
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    headline = (
        f"Suspicious: {names[0]}{others} may know the future, so no gain below is evidence. Look into that first: "
        "mmf features audit."
    )
    return replace(verdict, answer="suspicious", sentences=(headline, *verdict.sentences[1:]))


# ------------------------------------------------------------------------------------


def _random_returns(
    desks: Sequence[Desk],
    result: Portfolio,
    rules: Rules,
    costs: Costs,
    paid: Sequence[np.ndarray],
    *,
    n_schedules: int,
    seed: int,
) -> np.ndarray:
    """(n_schedules,) net log returns of the same trades at other times."""
    rows = [_rows(desk, part) for desk, part in zip(desks, result.parts, strict=True)]
    drawn = {"n_schedules": n_schedules, "seed": seed}
    if len(desks) == rules.at_once == 1:
        schedules = [random_schedules(*rows[0], desks[0].bars.height, **drawn)]
    else:
        schedules = moved_together(rows, [desk.open_time_ms for desk in desks], **drawn)
    cost = float(2 * np.log1p(-costs.per_side / rules.at_once))
    told = [
        schedule_returns(_log_open(desk, of), *schedule, log_cost_per_trade=cost)
        if rules.at_once == 1
        else shared_returns(_log_open(desk, of), *schedule, at_once=rules.at_once, log_cost_per_trade=cost)
        for desk, of, schedule in zip(desks, paid, schedules, strict=True)
    ]
    return told[0] if len(told) == 1 else np.log(np.mean(np.exp(told), axis=0))


def _rows(desk: Desk, part: Backtest) -> tuple[np.ndarray, np.ndarray]:
    """Row at whose open each trade begins, and row at whose open it has ended."""
    begins, ends = (part.trades[name].to_physical().to_numpy() for name in ("entry_time", "exit_time"))
    ends_within = (part.trades["reason"] != "horizon").to_numpy()
    opens = desk.open_time_ms
    return np.searchsorted(opens, begins), np.searchsorted(opens, ends) + ends_within


def _log_open(desk: Desk, paid: np.ndarray) -> np.ndarray:
    """(n + 1,) log of the opens and the last close, with what funding takes."""
    log_open = np.log(np.append(desk.bars["open"].to_numpy(), desk.bars["close"][-1]))
    log_open += np.concatenate([[0.0], np.cumsum(paid)])
    return log_open


def _held_evenly(desks: Sequence[Desk], result: Portfolio, paid: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) log returns of being in the market all the time with the share that the trades had on average."""
    held = []
    for desk, part, of in zip(desks, result.parts, paid, strict=True):
        close = desk.bars["close"].to_numpy()
        market = np.diff(np.log(close), prepend=np.log(close[0])) + of
        held.append(part.equity["position"].to_numpy().mean() * market)
    if len(held) == 1:
        return held[0]
    grown = mean_of([np.exp(np.cumsum(log)) for log in held], [desk.open_time_ms for desk in desks], before=1.0)
    return np.diff(np.log(grown), prepend=0.0)


def _bounds(several: Sequence[np.ndarray], rules: Rules, *, seed: int) -> list[tuple[float, float]]:
    """Growth of the whole range that holds with 98 %, of each of several returns, on the same samples."""
    samples = block_samples(len(several[0]), mean_block=2.0 * rules.horizon, n_samples=N_SAMPLES, seed=seed)
    drawn = np.array([[returns[rows].sum() for returns in several] for rows in samples])
    low, high = np.expm1(np.quantile(drawn, [LEVEL, 1 - LEVEL], axis=0))
    return [(float(one), float(other)) for one, other in zip(low, high, strict=True)]


def _answer(found: Performance, p: float, p_adjusted: float, low: float) -> Answer:
    if found.net_return <= 0 or p > HOPE:
        return "no edge"
    return "edge" if p_adjusted <= LEVEL and low > 0 and found.n_trades >= MIN_TRADES else "inconclusive"


def _sentences(
    answer: str,
    found: Performance,
    shares: tuple[float, float],
    ranges: tuple[tuple[float, float], tuple[float, float]],
    n_trials: int,
) -> tuple[str, str, str]:
    headline = {
        "edge": "Edge: these trades gained after costs, by more than luck explains.",
        "no edge": "No edge: these trades lost, or gained no more than random entry times do.",
        "inconclusive": "Inconclusive: these trades gained, but luck is not ruled out.",
    }[answer]
    trials = (
        "no other training on this series is recorded"
        if n_trials == 1
        else f"{shares[1]:.1%} where the best of all {n_trials} trainings on this series is asked for"
    )
    compared = (
        f"{found.n_trades} trades brought {found.net_return:+.1%} net of costs; {shares[0]:.1%} of random schedules "
        f"with as much time in the market brought as much or more ({trials})."
    )
    net, timing = (f"{low:+.1%} and {high:+.1%}" for low, high in ranges)
    trusted = (
        f"With 98 % confidence the net return lies between {net}, "
        f"and what timing adds to holding as much all the time between {timing}"
    )
    if found.n_trades < MIN_TRADES:
        trusted += f"; {found.n_trades} trades are fewer than the {MIN_TRADES} that an edge takes"
    return headline, compared, f"{trusted}."


def _without_trades(found: Performance, n_trials: int) -> Verdict:
    sentences = (
        "No edge: the model never traded.",
        "No probability of the judged rows was above the threshold chosen on training rows.",
        "Nothing was gained and nothing was paid.",
    )
    nothing = np.zeros(0)
    return Verdict("no edge", sentences, found, None, None, None, None, None, n_trials, nothing)
