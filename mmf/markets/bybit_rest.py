"""Answers of Bybit v5: the envelope and its error codes, klines, instruments, funding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
import polars as pl

from mmf.bars import BAR_SCHEMA
from mmf.markets.errors import ExchangeError, RefusedError
from mmf.markets.http import SlowDownError, TryAgainError, check_status, read_json
from mmf.markets.listings import FUNDING_SCHEMA, INSTRUMENT_SCHEMA
from mmf.markets.pages import in_time_order

T = TypeVar("T")

_INSTEAD = "use --base-url with the address of your region, such as https://api.bybit.nl, or mmf ingest binance"
_TOO_MANY = (10006, 10018)
_PASSING = (10000, 10016)
_LONGEST_RESET_S = 10.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is around every answer.

    Attributes
    ----------
    result : dict
        The answer itself.
    time_ms : int
        The exchange's own time.
    """

    result: dict[str, Any]
    time_ms: int


def reader(read: Callable[[Envelope], T], /, *, asked: str) -> Callable[[httpx2.Response], T]:
    """Return what `HttpClient.get` needs: open the envelope, then `read` it.

    Parameters
    ----------
    read : callable
        May raise TypeError, ValueError, LookupError, AttributeError or a PolarsError on a malformed result, which
        then is asked again.
    asked : str
        What was asked for, in words, for messages.

    Notes
    -----
    The function that comes back raises as `check_status` does, and `SlowDownError` for retCode 10006, `TryAgainError`
    for 10000 and 10016, `RefusedError` for 10001, `ExchangeError` for any other.
    """

    def from_response(response: httpx2.Response) -> T:
        check_status(response, instead=_INSTEAD)
        envelope = _open(response, asked)
        try:
            return read(envelope)
        except (TypeError, ValueError, LookupError, AttributeError, pl.exceptions.PolarsError) as error:
            raise TryAgainError(f"the answer for {asked} is malformed: {error!r}") from error

    return from_response


def klines(envelope: Envelope, /, *, symbol: str) -> pl.DataFrame:
    """Rows as `BAR_SCHEMA` in time order; a value that is no number becomes null.

    Raises
    ------
    ValueError
        The answer is about another symbol, or a row has not seven cells or no time.
    """
    if envelope.result["symbol"] != symbol:
        raise ValueError(f"it is about {envelope.result['symbol']!r}")
    columns = list(zip(*envelope.result["list"], strict=True)) or [()] * len(BAR_SCHEMA)
    text = {name: pl.Series(column, dtype=pl.String) for name, column in zip(BAR_SCHEMA, columns, strict=True)}
    times = text.pop("open_time").cast(pl.Int64).cast(BAR_SCHEMA["open_time"])
    values = {name: column.cast(pl.Float64, strict=False) for name, column in text.items()}
    return in_time_order(pl.DataFrame({"open_time": times, **values}))


def instruments(entries: Sequence[dict[str, Any]], /) -> pl.DataFrame:
    """Instruments as `INSTRUMENT_SCHEMA`; times of 0 mean none."""
    rows = [
        {
            "symbol": entry["symbol"],
            "status": entry["status"],
            "launch_ms": int(entry.get("launchTime") or 0) or None,
            "delivery_ms": int(entry.get("deliveryTime") or 0) or None,
            "funding_interval_min": entry.get("fundingInterval"),
            "base": entry["baseCoin"],
            "quote": entry["quoteCoin"],
        }
        for entry in entries
    ]
    return pl.DataFrame(rows, schema=INSTRUMENT_SCHEMA).unique("symbol", keep="first").sort("symbol")


def funding(envelope: Envelope, /, *, symbol: str) -> pl.DataFrame:
    """Funding rates as `FUNDING_SCHEMA`, newest first as they come."""
    entries = envelope.result["list"]
    if any(entry["symbol"] != symbol for entry in entries):
        raise ValueError("it is about another symbol")
    times = pl.Series([int(entry["fundingRateTimestamp"]) for entry in entries], dtype=pl.Int64)
    rates = pl.Series([float(entry["fundingRate"]) for entry in entries], dtype=pl.Float64)
    return pl.DataFrame({"funding_time": times.cast(FUNDING_SCHEMA["funding_time"]), "rate": rates})


# ------------------------------------------------------------------------------------


def _open(response: httpx2.Response, asked: str) -> Envelope:
    match body := read_json(response):
        case {"retCode": 0, "result": dict(result), "time": int(time_ms)} if time_ms > 0:
            return Envelope(result, time_ms)
        case {"retCode": int(code), "retMsg": str(message)} if code:
            raise _error(code, message, asked, response, body.get("time"))
        case _:
            raise TryAgainError(f"the answer for {asked} has no envelope")


def _error(code: int, message: str, asked: str, response: httpx2.Response, time_ms: object) -> Exception:
    said = f"retCode {code}, {message!r}"
    if code in _TOO_MANY:
        return SlowDownError(said, wait_s=_until_reset_s(response, time_ms))
    if code in _PASSING:
        return TryAgainError(said)
    if code == 10001:
        return RefusedError(
            f"Bybit refused the request for {asked}: {said}. Check the symbol, the category and the interval."
        )
    return ExchangeError(f"Bybit answered {said} to the request for {asked}. What was fetched before is kept.")


def _until_reset_s(response: httpx2.Response, time_ms: object) -> float | None:
    """Seconds until the limit is lifted; None where the answer tells no time to reckon from."""
    reset = response.headers.get("X-Bapi-Limit-Reset-Timestamp", "")
    if not reset.isdecimal() or not isinstance(time_ms, int) or time_ms <= 0:
        return None
    return min(max((int(reset) - time_ms) / 1_000, 0.0), _LONGEST_RESET_S)
