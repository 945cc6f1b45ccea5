"""Which archives of a series exist: the list of the bucket that Binance's archives lie in."""

import re
from datetime import date, datetime

import httpx2

from mmf.bars import Series
from mmf.markets.binance_archives import Archive, stem
from mmf.markets.binance_rest import INSTEAD
from mmf.markets.http import HttpClient, TryAgainError, check_status

_KEY = re.compile(r"<Key>([^<]*)</Key>")
_END = "</ListBucketResult>"
_IS_TRUNCATED = "<IsTruncated>true</IsTruncated>"


async def list_archives(client: HttpClient, series: Series, /, *, since: date) -> list[Archive]:
    """Return the archives of a series, all months first, then the days from one on; each in order of time.

    Parameters
    ----------
    client : HttpClient
        For the bucket, which answers as Amazon's S3 does (ListObjects), a thousand names a request.
    series : Series
        Of the exchange `binance`.
    since : date
        Days before it are left out, unless no month is listed.
    """
    months = await _listed(client, series, is_month=True, after="")
    days = await _listed(client, series, is_month=False, after=f"{since:%Y-%m-%d}" if months else "")
    return months + days


# ------------------------------------------------------------------------------------


async def _listed(client: HttpClient, series: Series, *, is_month: bool, after: str) -> list[Archive]:
    prefix = stem(series, is_month=is_month).lstrip("/")
    name = re.compile(re.escape(prefix) + (r"(\d{4}-\d\d)\.zip" if is_month else r"(\d{4}-\d\d-\d\d)\.zip"))
    found: list[Archive] = []
    marker = prefix + after
    while True:
        keys, is_truncated = await client.get("/", {"prefix": prefix, "marker": marker}, _names)
        dates = [match[1] for match in map(name.fullmatch, keys) if match]
        found += [Archive.of(_date(text), series.grid, is_month=is_month) for text in dates]
        if not is_truncated:
            return found
        marker = keys[-1]


def _names(response: httpx2.Response) -> tuple[list[str], bool]:
    check_status(response, instead=INSTEAD)
    text = response.text
    keys = _KEY.findall(text)
    is_truncated = _IS_TRUNCATED in text
    if not text.rstrip().endswith(_END) or (is_truncated and not keys):
        raise TryAgainError("the list of archives breaks off")
    return keys, is_truncated


def _date(text: str) -> date:
    return datetime.strptime(text if len(text) > len("2024-10") else f"{text}-01", "%Y-%m-%d").date()
