import io
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from mmf.bars import BAR_SCHEMA, Series
from tests.exchange.binance_archives import ArchiveStyle
from tests.exchange.client import Reply, fetch
from tests.exchange.faults import Faults
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import walk_bars

FUTURES = Series("binance", "um", "BTCUSDT", "60")
SPOT = Series("binance", "spot", "BTCUSDT", "60")
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def ms(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp() * 1_000)


def archive(exchange: LoopbackExchange, market: str, date: str, suffix: str = "") -> Reply:
    span = "daily" if date.count("-") == 2 else "monthly"
    return fetch(exchange.url, f"/data/{market}/{span}/klines/BTCUSDT/1h/BTCUSDT-1h-{date}.zip{suffix}")


def lines(reply: Reply) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(reply.body)) as file:
        (name,) = file.namelist()
        return file.read(name).decode("ascii").splitlines()


def test_a_day_and_a_month_with_their_checksums() -> None:
    with LoopbackExchange([Market(FUTURES, walk_bars(24 * 40, start_ms=ms(2024, 10, 1)))]) as exchange:
        day, month = (archive(exchange, "futures/um", date) for date in ("2024-10-28", "2024-10"))
        for reply, date in ((day, "2024-10-28"), (month, "2024-10")):
            assert reply.headers["Content-Type"] == "application/zip"
            line = archive(exchange, "futures/um", date, ".CHECKSUM").body.decode("ascii")
            assert line == f"{sha256(reply.body).hexdigest()}  BTCUSDT-1h-{date}.zip\n"
    assert lines(day)[0] == lines(month)[0] == HEADER
    assert lines(day)[1:] == lines(month)[1 + 24 * 27 : 1 + 24 * 28]
    assert len(lines(month)) == 1 + 24 * 31
    assert lines(day)[1].startswith(f"{ms(2024, 10, 28)},")


@pytest.mark.parametrize(
    ("market", "series", "style", "has_header", "per_ms"),
    [
        ("futures/um", FUTURES, ArchiveStyle(), True, 1),
        ("futures/um", FUTURES, ArchiveStyle(header=False), False, 1),
        ("spot", SPOT, ArchiveStyle(), False, 1_000),
        ("spot", SPOT, ArchiveStyle(unit="ms"), False, 1),
        ("spot", SPOT, ArchiveStyle(header=True), True, 1_000),
    ],
)
def test_header_and_unit(market: str, series: Series, style: ArchiveStyle, has_header: bool, per_ms: int) -> None:
    bars = walk_bars(24, start_ms=ms(2025, 1, 1))
    with LoopbackExchange([Market(series, bars)], faults=Faults(archives=style)) as exchange:
        found = lines(archive(exchange, market, "2025-01-01"))
    assert (found[0] == HEADER) == has_header
    fields = found[has_header].split(",")
    assert (int(fields[0]), int(fields[6])) == (ms(2025, 1, 1) * per_ms, (ms(2025, 1, 1) + 3_600_000) * per_ms - 1)


def test_spot_counted_milliseconds_until_2024() -> None:
    with LoopbackExchange([Market(SPOT, walk_bars(24, start_ms=ms(2024, 12, 31)))]) as exchange:
        assert lines(archive(exchange, "spot", "2024-12-31"))[0].startswith(f"{ms(2024, 12, 31)},")


@pytest.mark.parametrize("date", ["2024-10-27", "2024-10-30", "2024-10", "2024-10-41", "2024-13"])
def test_no_file_before_its_last_bar_has_closed_nor_without_bars(date: str) -> None:
    """Two days and one more that lacks its last bar."""
    with LoopbackExchange([Market(SPOT, walk_bars(71, start_ms=ms(2024, 10, 28)))]) as exchange:
        assert archive(exchange, "spot", "2024-10-29").status == 200
        missing = archive(exchange, "spot", date)
        assert (missing.status, b"NoSuchKey" in missing.body) == (404, True)
        assert archive(exchange, "spot", date, ".CHECKSUM").status == 404


def test_a_file_appears_late() -> None:
    style = ArchiveStyle(lag_ms=7_200_000)
    with LoopbackExchange([Market(SPOT, walk_bars(72))], faults=Faults(archives=style)) as exchange:
        exchange.set_now(ms(2024, 1, 2) + 7_199_999)
        assert archive(exchange, "spot", "2024-01-01").status == 404
        exchange.set_now(ms(2024, 1, 2) + 7_200_000)
        assert archive(exchange, "spot", "2024-01-01").status == 200


def test_faults_of_archives() -> None:
    plan = ("no_archive", "bad_checksum", "truncated", None)
    with LoopbackExchange([Market(SPOT, walk_bars(24))], faults=Faults(plan=plan)) as exchange:
        assert archive(exchange, "spot", "2024-01-01").status == 404
        wrong = archive(exchange, "spot", "2024-01-01", ".CHECKSUM").body.split()[0].decode("ascii")
        half = archive(exchange, "spot", "2024-01-01").body
        whole = archive(exchange, "spot", "2024-01-01").body
    assert wrong != sha256(whole).hexdigest()
    assert 0 < len(half) < len(whole)


@pytest.mark.real_bars
@pytest.mark.parametrize(
    ("file", "market", "series"),
    [
        ("futures-um-klines-BTCUSDT-1h-2024-10-28.zip", "futures/um", FUTURES),
        ("spot-klines-BTCUSDT-1h-2024-10-28.zip", "spot", SPOT),
    ],
)
def test_real_files_come_back_but_for_what_bars_do_not_tell(
    real_bars: Path, file: str, market: str, series: Series
) -> None:
    real = lines(Reply(200, None, (real_bars / "archives" / file).read_bytes()))
    rows = [line.split(",") for line in real if line[0].isdecimal()]
    values = [[int(row[0]), *(float(row[i]) for i in (1, 2, 3, 4, 5, 7))] for row in rows]
    bars = pl.DataFrame(values, orient="row", schema=BAR_SCHEMA)
    with LoopbackExchange([Market(series, bars)]) as exchange:
        ours = lines(archive(exchange, market, "2024-10-28"))
    told = slice(None, 8)  # neither trades nor takers
    assert [line.split(",")[told] for line in ours] == [line.split(",")[told] for line in real]
