"""Answers of Binance's REST interface: the Date header and error codes, klines, instruments, funding."""

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2
import polars as pl

from mmf.bars import BAR_SCHEMA
from mmf.markets.errors import ExchangeError, RefusedError, UnknownSymbolError
from mmf.markets.http import TryAgainError, check_status, read_json
from mmf.markets.listings import FUNDING_SCHEMA, INSTRUMENT_SCHEMA
from mmf.markets.pages import in_time_order

T = TypeVar("T")

INTERVAL_NAMES = {
    **{minutes: f"{minutes}m" for minutes in ("1", "3", "5", "15", "30")},
    **{str(60 * hours): f"{hours}h" for hours in (1, 2, 4, 6, 12)},
    "D": "1d",
    "W": "1w",
}
INSTEAD = (
    "use --base-url with an address that serves yours (of spot: https://data-api.binance.vision), mmf ingest bybit, "
    "archives of https://data.binance.vision"
)

_COLUMNS = (*range(6), 7)  # what is left out: close_time, number of trades, taker volumes
_PASSING = (-1000, -1001, -1006, -1007, -1008, -1016)
_UNKNOWN_SYMBOL = -1121
_NEVER_MS = 4_133_404_800_000  # a perpetual contract is "delivered" at Christmas of 2100


def reader(read: Callable[[Any, int], T], /, *, asked: str) -> Callable[[httpx2.Response], T]:
    """Return what `HttpClient.get` needs: open the answer, then `read(body, time_ms)` it.

    Parameters
    ----------
    read : callable
        May raise TypeError, ValueError, LookupError, AttributeError or a PolarsError on a malformed body, which then
        is asked again. The time is that of the HTTP Date header, whole seconds.
    asked : str
        What was asked for, in words, for messages.

    Notes
    -----
    The function that comes back raises as `check_status` does, and `TryAgainError` for the codes of a server in
    trouble, `UnknownSymbolError` for -1121, `RefusedError` for its kin, `ExchangeError` for any other.
    """

    def from_response(response: httpx2.Response) -> T:
        check_status(response, instead=INSTEAD, answers=(200, 400))
        body = read_json(response)
        if response.status_code == 400 or (isinstance(body, dict) and "code" in body):
            raise _error(body, asked)
        try:
            return read(body, _date_ms(response))
        except (TypeError, ValueError, LookupError, AttributeError, pl.exceptions.PolarsError) as error:
            raise TryAgainError(f"the answer for {asked} is malformed: {error!r}") from error

    return from_response


def klines(body: Any, /) -> pl.DataFrame:
    """Rows as `BAR_SCHEMA` in time order, turnover being the quote volume; a value that is no number becomes null.

    Raises
    ------
    ValueError, IndexError, TypeError
        A row has not at least eight cells or its time is no integer.
    """
    columns = list(zip(*body, strict=True)) or [()] * 8
    text = [pl.Series(columns[i], dtype=pl.String) for i in _COLUMNS[1:]]
    values = [column.cast(pl.Float64, strict=False) for column in text]
    times = pl.Series(columns[0], dtype=pl.Int64).cast(BAR_SCHEMA["open_time"])
    return in_time_order(pl.DataFrame(dict(zip(BAR_SCHEMA, [times, *values], strict=True))))


def instruments(body: Any, /) -> pl.DataFrame:
    """Instruments as `INSTRUMENT_SCHEMA`, sorted by symbol; exchangeInfo tells no funding interval."""
    rows = [
        {
            "symbol": entry["symbol"],
            "status": entry["status"],
            "launch_ms": entry.get("onboardDate"),
            "delivery_ms": entry["deliveryDate"] if entry.get("deliveryDate", _NEVER_MS) < _NEVER_MS else None,
            "funding_interval_min": None,
            "base": entry["baseAsset"],
            "quote": entry["quoteAsset"],
        }
        for entry in body["symbols"]
    ]
    return pl.DataFrame(rows, schema=INSTRUMENT_SCHEMA).sort("symbol")


def funding(body: Any, /, *, symbol: str) -> pl.DataFrame:
    """Funding rates as `FUNDING_SCHEMA`, oldest first as they come."""
    if any(entry["symbol"] != symbol for entry in body):
        raise ValueError("it is about another symbol")
    times = pl.Series([entry["fundingTime"] for entry in body], dtype=pl.Int64)
    rates = pl.Series([float(entry["fundingRate"]) for entry in body], dtype=pl.Float64)
    return pl.DataFrame({"funding_time": times.cast(FUNDING_SCHEMA["funding_time"]), "rate": rates})


# ------------------------------------------------------------------------------------


def _date_ms(response: httpx2.Response) -> int:
    return int(parsedate_to_datetime(response.headers["Date"]).timestamp()) * 1_000


def _error(body: Any, asked: str) -> Exception:
    code, message = (body.get("code"), body.get("msg")) if isinstance(body, dict) else (None, body)
    if code in _PASSING:
        return TryAgainError(f"code {code}, {message!r}")
    if isinstance(code, int) and -1200 < code <= -1100:
        kind = UnknownSymbolError if code == _UNKNOWN_SYMBOL else RefusedError
        return kind(
            f"Binance refused the request for {asked}: code {code}, {message!r}. Check the symbol, the category and "
            "the interval; what is no longer listed is left in the archives of https://data.binance.vision."
        )
    return ExchangeError(f"Binance answered code {code}, {message!r} to the request for {asked}.")
