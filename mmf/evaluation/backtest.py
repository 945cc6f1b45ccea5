"""What trading on probabilities would have brought: fills at the next open, costs taken, equity bar by bar."""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import polars as pl

from mmf.bars import DAY_MS, Interval
from mmf.errors import CallError, DataError

YEAR_DAYS = 365.25  # the market never closes
_HALF = 0.5  # of a fill's value: what no cost reaches


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a fill costs, as shares of its value.

    Attributes
    ----------
    fee : float
        Taker fee of a side; 0.00055 is Bybit's for linear contracts.
    slippage : float
        How much worse than the open (or the barrier) a fill is.
    """

    fee: float = 0.00055
    slippage: float = 0.0002

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value < _HALF:
                raise CallError(f"cost {name} is {value}; it is a share of a fill's value, such as 0.00055.")

    @property
    def per_side(self) -> float:
        """Share of a fill's value that is lost in all."""
        return 1 - (1 - self.fee) * (1 - self.slippage)

    def times(self, factor: float, /) -> "Costs":
        """Return costs of another height, each below a half as any cost is."""
        highest = np.nextafter(_HALF, 0)
        return Costs(fee=min(self.fee * factor, highest), slippage=min(self.slippage * factor, highest))


@dataclass(frozen=True, kw_only=True)
class Rules:
    """When a position is opened and closed.

    Attributes
    ----------
    horizon : int
        Intervals after which a position is closed.
    exit : {"horizon", "barriers"}
        Whether it may end earlier, at take-profit or stop-loss.
    take_profit, stop_loss : float
        Distances of the barriers from the entry, as shares of its price.
    at_once : int
        Positions that may be open at the same time; each takes an equal part of the equity.
    """

    horizon: int
    exit: Literal["horizon", "barriers"] = "horizon"
    take_profit: float = 0.02
    stop_loss: float = 0.01
    at_once: int = 1

    def __post_init__(self) -> None:
        if self.horizon < 1 or self.at_once < 1:
            raise CallError(f"{self}: horizon and at_once are counts of 1 or more.")


TRADE_SCHEMA = {
    "entry_time": pl.Datetime("ms", "UTC"),
    "exit_time": pl.Datetime("ms", "UTC"),
    "entry": pl.Float64,
    "exit": pl.Float64,
    "funding": pl.Float64,
    "net_return": pl.Float64,
    "reason": pl.String,
}


@dataclass(frozen=True)
class Backtest:
    """What came of it.

    Attributes
    ----------
    trades : pl.DataFrame
        `TRADE_SCHEMA`: one row a position, in the order of entry. Entry and exit are prices before slippage; funding is
        the share of the position's value that was paid; net_return is after all costs.
    equity : pl.DataFrame
        One row a bar: open_time, equity (1 before the first bar; positions valued at the close), gross (the same
        without costs and funding), drawdown of the equity (0 or below), position (share of the equity that is
        invested at the close).
    """

    trades: pl.DataFrame
    equity: pl.DataFrame


def backtest(
    bars: pl.DataFrame,
    signals: np.ndarray,
    /,
    *,
    interval: Interval,
    rules: Rules,
    costs: Costs,
    funding: pl.DataFrame | None = None,
) -> Backtest:
    """Trade on signals.

    Parameters
    ----------
    bars : pl.DataFrame
        (n,) open_time, open, high, low, close of one series, in order.
    signals : np.ndarray
        (n,) bool: whether a long position is wanted once the bar has closed. The fill is the open of the next stored
        bar.
    interval : Interval
        Length of the bars.
    rules, costs : Rules, Costs
        How it is traded, and what a fill costs.
    funding : pl.DataFrame, optional
        funding_time and rate: what a long position pays of its value at that time.

    Raises
    ------
    DataError
        There are fewer than two bars.

    Notes
    -----
    A position closes at the first open at or after entry + horizon intervals, or at the last close. A barrier that
    lies within a bar is filled at the barrier, one that the open has jumped over at the open; where one bar touches
    both, the stop counts. A signal is not taken while `at_once` positions are open.
    """
    if bars.height < 2:
        raise DataError(f"a backtest needs at least two bars, got {bars.height}. Take a longer range.")
    market = _Market(bars, interval, rules, costs, funding_by_bar(bars, funding, interval=interval))
    trades = _trades(market, signals)
    return Backtest(_trade_frame(market, trades), _equity_frame(market, trades))


@dataclass(frozen=True)
class Performance:
    """A backtest in figures; None where undefined.

    Attributes
    ----------
    n_trades : int
        Positions opened.
    net_return, gross_return : float
        Growth of the equity over the range less 1, with costs and without (funding counts as a cost).
    annual_return : float or None
        Growth of a year at the same pace.
    sharpe, sortino : float or None
        Of the equity's returns bar by bar, annualised; excess over nothing.
    max_drawdown : float
        Deepest fall below an earlier peak, 0 or below.
    exposure : float
        Share of the bars with a position.
    turnover : float
        Value traded in a year, as a multiple of the equity.
    hit_rate : float or None
        Share of the trades with a net gain.
    mean_trade : float or None
        Mean net return of a trade.
    break_even_cost : float or None
        Cost of a side at which the same trades would have brought nothing; negative where they lose without costs.
    """

    n_trades: int
    net_return: float
    gross_return: float
    annual_return: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float
    exposure: float
    turnover: float
    hit_rate: float | None
    mean_trade: float | None
    break_even_cost: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return the figures as JSON takes them."""
        return asdict(self)


def performance(result: Backtest, /, *, interval: Interval, rules: Rules) -> Performance:
    """Summarise a backtest."""
    equity, gross, drawdown, position = (
        result.equity[name].to_numpy() for name in ("equity", "gross", "drawdown", "position")
    )
    entry, exit_price, funding, net = (
        result.trades[name].to_numpy() for name in ("entry", "exit", "funding", "net_return")
    )
    n = len(net)
    returns = equity / np.concatenate([[1.0], equity[:-1]]) - 1
    per_year = YEAR_DAYS * DAY_MS / interval.ms
    years = len(equity) / per_year
    kept = (np.log(exit_price / entry) + np.log1p(-funding)).sum()  # log growth of all trades before costs
    return Performance(
        n_trades=n,
        net_return=float(equity[-1] - 1),
        gross_return=float(gross[-1] - 1),
        annual_return=float(equity[-1] ** (1 / years) - 1) if equity[-1] > 0 else None,
        sharpe=_ratio(returns.mean(), returns.std(ddof=1), per_year),
        sortino=_ratio(returns.mean(), float(np.sqrt(np.mean(np.minimum(returns, 0) ** 2))), per_year),
        max_drawdown=float(drawdown.min()),
        exposure=float((position > 0).mean()),
        turnover=2 * n / rules.at_once / years,
        hit_rate=float((net > 0).mean()) if n else None,
        mean_trade=float(net.mean()) if n else None,
        break_even_cost=float(-np.expm1(-kept / (2 * n))) if n else None,
    )


def holding(
    bars: pl.DataFrame, /, *, interval: Interval, costs: Costs, funding: pl.DataFrame | None = None
) -> np.ndarray:
    """Return the (n,) equity of buying at the second open and selling at the last close, 1 before."""
    paid = funding_by_bar(bars, funding, interval=interval)
    paid[0] = 0.0  # before it is bought
    growth = np.log(bars["close"].to_numpy() / bars["open"][1]) + np.cumsum(paid) + np.log1p(-costs.per_side)
    growth[-1] += np.log1p(-costs.per_side)
    growth[0] = 0.0
    return np.exp(growth)


def funding_by_bar(bars: pl.DataFrame, funding: pl.DataFrame | None, /, *, interval: Interval) -> np.ndarray:
    """Return (n,) what the funding times within each bar leave of a long position, as a logarithm.

    Parameters
    ----------
    bars : pl.DataFrame
        (n,) open_time, ascending.
    funding : pl.DataFrame or None
        funding_time and rate. A time at an open belongs to the bar before it: who enters at that open does not pay.
    interval : Interval
        Length of the bars.
    """
    paid = np.zeros(bars.height)
    if funding is None or funding.is_empty():
        return paid
    opens = bars["open_time"].to_physical().to_numpy()
    times = funding["funding_time"].to_physical().to_numpy()
    rows = np.searchsorted(opens, times, side="left") - 1
    is_inside = (rows >= 0) & (times <= opens[-1] + interval.ms)
    np.add.at(paid, rows[is_inside], np.log1p(-funding["rate"].to_numpy()[is_inside]))
    return paid


# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Trade:
    entry_row: int
    exit_row: int
    exit_price: float
    reason: Literal["horizon", "profit", "stop", "end"]

    @property
    def last_row(self) -> int:
        """The last row during which the position is open; a position that ends at an open is not in that row."""
        return self.exit_row - (self.reason == "horizon")


class _Market:
    """The arrays that a walk over the bars looks up."""

    def __init__(self, bars: pl.DataFrame, interval: Interval, rules: Rules, costs: Costs, paid: np.ndarray) -> None:
        self.time = bars["open_time"].to_physical().to_numpy()
        self.open, self.high, self.low, self.close = (
            bars[name].to_numpy().astype(np.float64) for name in ("open", "high", "low", "close")
        )
        self.rules, self.costs = rules, costs
        self.paid = np.concatenate([[0.0], np.cumsum(paid)])  # log of what funding leaves, before each bar
        due = self.time + rules.horizon * interval.ms
        self.due_row = np.searchsorted(self.time, due)  # n where the range ends first


def _trades(market: _Market, signals: np.ndarray) -> list[_Trade]:
    trades: list[_Trade] = []
    busy_until: list[int] = []
    for row in np.flatnonzero(signals[:-1]).tolist():
        entry = row + 1
        busy_until = [last_row for last_row in busy_until if last_row >= entry]
        if len(busy_until) < market.rules.at_once:
            trades.append(_walk(market, entry))
            busy_until.append(trades[-1].last_row)
    return trades


def _walk(market: _Market, entry: int) -> _Trade:
    """Find where a position that is opened at the open of this row ends."""
    last = len(market.time) - 1
    due = int(market.due_row[entry])
    if market.rules.exit == "barriers":
        upper = market.open[entry] * (1 + market.rules.take_profit)
        lower = market.open[entry] * (1 - market.rules.stop_loss)
        for row in range(entry, min(due, last + 1)):
            if market.low[row] <= lower:
                return _Trade(entry, row, min(lower, market.open[row]), reason="stop")
            if market.high[row] >= upper:
                return _Trade(entry, row, max(upper, market.open[row]), reason="profit")
    if due > last:
        return _Trade(entry, last, market.close[last], reason="end")
    return _Trade(entry, due, market.open[due], reason="horizon")


def _trade_frame(market: _Market, trades: list[_Trade]) -> pl.DataFrame:
    kept = 2 * np.log1p(-market.costs.per_side)
    rows = []
    for trade in trades:
        entry = market.open[trade.entry_row]
        paid = market.paid[trade.last_row + 1] - market.paid[trade.entry_row]
        net = np.expm1(np.log(trade.exit_price / entry) + paid + kept)
        times = market.time[trade.entry_row], market.time[trade.exit_row]
        rows.append((*times, entry, trade.exit_price, -np.expm1(paid), net, trade.reason))
    physical = TRADE_SCHEMA | {"entry_time": pl.Int64, "exit_time": pl.Int64}
    return pl.DataFrame(rows, schema=physical, orient="row").cast(TRADE_SCHEMA)  # type: ignore[arg-type]


def _equity_frame(market: _Market, trades: list[_Trade]) -> pl.DataFrame:
    """Every bar each open position holds its part of the equity; what ends at an open makes room for what begins."""
    n, part = len(market.time), 1 / market.rules.at_once
    # (2, n): gains of positions that end at the bar's open, then of those that are open within it
    net, gross, held = np.zeros((2, n)), np.zeros((2, n)), np.zeros(n)
    cost = np.log1p(-market.costs.per_side)
    for trade in trades:
        a, b = trade.entry_row, trade.exit_row
        prices = np.concatenate([[market.open[a]], market.close[a:b], [trade.exit_price]])
        steps = np.diff(np.log(prices))
        rows = np.arange(a, b + 1)
        places = (rows <= trade.last_row).astype(int), rows
        gross[places] += part * np.expm1(steps)
        paid = np.zeros(len(steps))
        paid[: trade.last_row - a + 1] = np.diff(market.paid[a : trade.last_row + 2])
        paid[0] += cost
        paid[-1] += cost
        net[places] += part * np.expm1(steps + paid)
        held[a:b] += part
    equity = np.cumprod((1 + net).prod(axis=0))
    peak = np.maximum.accumulate(np.maximum(equity, 1.0))
    return pl.DataFrame(
        {
            "open_time": pl.Series(market.time).cast(pl.Datetime("ms", "UTC")),
            "equity": equity,
            "gross": np.cumprod((1 + gross).prod(axis=0)),
            "drawdown": equity / peak - 1,
            "position": held,
        }
    )


def _ratio(mean: float, spread: float, per_year: float) -> float | None:
    return float(mean / spread * np.sqrt(per_year)) if spread > 0 else None
