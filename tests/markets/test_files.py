import contextlib
import io
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.bar_check import check_bars
from mmf.bars import BAR_SCHEMA, Interval, Series
from mmf.errors import CallError, DataError, MMFError
from mmf.markets.files import FileFormat, FileSource, guess_series

HOURLY = Series("binance", "um", "BTCUSDT", "60")
START_MS = 1_730_073_600_000  # 2024-10-28 00:00 UTC
HOUR_MS = 3_600_000
BARS = pl.DataFrame(
    {
        "open_time": [START_MS + i * HOUR_MS for i in range(4)],
        "open": [67992.7, 67835.2, 67720.0, 67850.1],
        "high": [68094.6, 67886.4, 67901.0, 67999.9],
        "low": [67804.7, 67711.0, 67650.5, 67800.0],
        "close": [67835.2, 67720.0, 67850.1, 67912.3],
        "volume": [5179.117, 4148.33, 3900.0, 2500.5],
        "turnover": [351923638.0391, 281179776.7219, 264200000.25, 169700000.5],
    }
).with_columns(pl.col("open_time").cast(BAR_SCHEMA["open_time"]))


def read(path: Path, *, series: Series = HOURLY, drop_last: bool = False, **options) -> pl.DataFrame:
    source = FileSource([path], file_format=FileFormat(**options), drop_last=drop_last)
    return pl.concat([batch.rows for batch in source.batches(series, [])])


def write_text(folder: Path, text: str, name: str = "klines.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def csv_with(times: list, names: str = "open_time,open,high,low,close,volume,turnover") -> str:
    rows = (f"{time}," + ",".join(map(str, row[1:])) for time, row in zip(times, BARS.rows(), strict=True))
    return "\n".join([names, *rows]) + "\n"


def assert_is_bars(rows: pl.DataFrame, expected: pl.DataFrame = BARS) -> None:
    assert rows["reason"].to_list() == [None] * rows.height
    assert rows.select(*BAR_SCHEMA).equals(expected)


TIMES_MS = [START_MS + i * HOUR_MS for i in range(4)]
TIMES = [datetime.fromtimestamp(ms / 1000, UTC) for ms in TIMES_MS]


@pytest.mark.parametrize(
    "times",
    [
        pytest.param([ms // 1000 for ms in TIMES_MS], id="s"),
        pytest.param([f"{ms // 1000}.0" for ms in TIMES_MS], id="s as floats"),
        pytest.param(TIMES_MS, id="ms"),
        pytest.param([f"{ms:.6e}" if ms % 10**6 == 0 else f"{ms:.10e}" for ms in TIMES_MS], id="ms in e-notation"),
        pytest.param([ms * 1000 for ms in TIMES_MS], id="us"),
        pytest.param([ms * 10**6 for ms in TIMES_MS], id="ns"),
        pytest.param([f"{t:%Y-%m-%d %H:%M:%S}" for t in TIMES], id="naive text"),
        pytest.param([f"{t:%Y-%m-%d %H:%M}" for t in TIMES], id="text to the minute"),
        pytest.param([f"{t:%Y/%m/%dT%H:%M:%S.000}" for t in TIMES], id="slashes, T, fraction"),
        pytest.param([f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in TIMES], id="Z"),
        pytest.param([f"{t:%Y-%m-%d %H:%M:%S} UTC" for t in TIMES], id="UTC"),
        pytest.param([f"{t:%Y-%m-%d %H:%M:%S}+00:00" for t in TIMES], id="pandas with zone"),
        pytest.param([f"2024-10-28 0{h + 2}:00:00+02:00" for h in range(4)], id="another zone"),
        pytest.param([f'"{t:%Y-%m-%d %H:%M:%S}"' for t in TIMES], id="quoted"),
    ],
)
def test_times_of_every_kind_become_utc_milliseconds(tmp_path, times):
    assert_is_bars(read(write_text(tmp_path, csv_with(times))))


@pytest.mark.parametrize(
    ("names", "has_turnover"),
    [
        ("open_time,open,high,low,close,volume,quote_volume", True),
        ("Open time,Open,High,Low,Close,Volume,Quote asset volume", True),
        ("startTime,openPrice,highPrice,lowPrice,closePrice,volume,turnover", True),
        ("start_at,open,high,low,close,volume,turnover", True),
        ("timestamp,open,high,low,close,volume,turnover", True),
        ("date,open,high,low,close,volume,ignored", False),
        ("Date,Open,High,Low,Close,Volume,Adj Close", False),
        ("t,o,h,l,c,v,n", False),
        ("<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<SPREAD>", False),
        ('"open_time","open","high","low","close","volume","turnover"', True),
        ("\ufeffopen_time,open,high,low,close,volume,turnover", True),
    ],
)
def test_column_names_of_exchanges_and_tools_are_known(tmp_path, names, has_turnover):
    expected = BARS if has_turnover else BARS.with_columns(pl.lit(None, pl.Float64).alias("turnover"))
    assert_is_bars(read(write_text(tmp_path, csv_with(TIMES_MS, names))), expected)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_separators_and_line_ends_are_recognised(tmp_path, separator, line_end):
    path = tmp_path / "klines.csv"
    path.write_bytes(csv_with(TIMES_MS).replace(",", separator).replace("\n", line_end).encode())
    assert_is_bars(read(path))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r"])
def test_byte_order_marks_and_bare_carriage_returns_are_understood(tmp_path, encoding, line_end):
    path = tmp_path / "klines.csv"
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    path.write_bytes((mark + csv_with(TIMES_MS).replace("\n", line_end)).encode(encoding))
    assert_is_bars(read(path))
    lines = csv_with(TIMES_MS).splitlines()[1:]
    path.write_bytes((mark + line_end.join(lines)).encode(encoding))
    assert_is_bars(read(path))


def test_a_line_above_the_header_is_no_row(tmp_path):
    rows = read(write_text(tmp_path, "https://www.example.com/klines\n" + csv_with(TIMES_MS)))
    assert_is_bars(rows)
    assert rows["row"].to_list() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (csv_with(TIMES_MS).encode("utf-16-le"), "UTF-16 without a byte order mark. Convert it to UTF-8"),
        (csv_with(TIMES_MS).replace(",", ";").replace(".", ",").encode(), "decimal commas, such as '67992,7'"),
    ],
)
def test_the_cause_of_unreadable_numbers_is_named(tmp_path, content, message):
    path = tmp_path / "klines.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(path)


@pytest.mark.parametrize("n_columns", [6, 7, 12])
def test_headerless_lines_are_read_by_their_number_of_columns(tmp_path, n_columns):
    lines = []
    for time, row in zip(TIMES_MS, BARS.rows(), strict=True):
        cells = [time, *row[1:6]]
        if n_columns == 7:
            cells += [row[6]]
        if n_columns == 12:
            cells += [time + HOUR_MS - 1, row[6], 85022, 2415.052, 164090858.6, 0]
        lines.append(",".join(map(str, cells)))
    rows = read(write_text(tmp_path, "\n".join(lines)))
    expected = BARS if n_columns > 6 else BARS.with_columns(pl.lit(None, pl.Float64).alias("turnover"))
    assert_is_bars(rows, expected)
    assert rows["row"].to_list() == [1, 2, 3, 4]


def test_headerless_columns_can_be_mapped_by_number(tmp_path):
    lines = (f"x,{time},{o},{h},{lo},{c},{v},1,{q}" for time, (_, o, h, lo, c, v, q) in zip(TIMES_MS, BARS.rows()))  # noqa: B905
    path = write_text(tmp_path, "\n".join(lines))
    names = {"2": "open_time", "3": "open", "4": "high", "5": "low", "6": "close", "7": "volume", "9": "turnover"}
    assert_is_bars(read(path, columns=names))
    with pytest.raises(DataError, match=r"no column is known as open_time. It has '1', '2'"):
        read(path)


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(pl.col("open_time"), id="ms with zone"),
        pytest.param(pl.col("open_time").dt.convert_time_zone("Asia/Tokyo"), id="another zone"),
        pytest.param(pl.col("open_time").dt.replace_time_zone(None).dt.cast_time_unit("ns"), id="naive ns"),
        pytest.param(pl.col("open_time").dt.epoch("s").cast(pl.Float64), id="float s"),
        pytest.param(pl.col("open_time").dt.epoch("us"), id="int us"),
        pytest.param(pl.col("open_time").dt.to_string("%Y-%m-%d %H:%M:%S"), id="text"),
        pytest.param(pl.col("open_time").dt.epoch("ms").cast(pl.String).cast(pl.Categorical), id="categories"),
    ],
)
@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_binary_files_round_trip(tmp_path, kind, times):
    path = tmp_path / f"klines.{kind}"
    frame = BARS.with_columns(times.alias("open_time")).rename({"open_time": "date"})
    frame.write_parquet(path) if kind == "parquet" else frame.write_ipc(path, compression="lz4")
    assert_is_bars(read(path))


def test_a_feather_file_of_freqtrade_is_read(tmp_path):
    path = tmp_path / "BTC_USDT_USDT-1h-futures.feather"
    BARS.drop("turnover").rename({"open_time": "date"}).to_pandas().to_feather(path)
    assert_is_bars(read(path), BARS.with_columns(pl.lit(None, pl.Float64).alias("turnover")))


def test_dates_are_midnights(tmp_path):
    path = tmp_path / "daily.parquet"
    days = pl.Series("open_time", [datetime(2024, 10, d, tzinfo=UTC) for d in range(1, 5)], BAR_SCHEMA["open_time"])
    daily = BARS.with_columns(days)
    daily.with_columns(pl.col("open_time").dt.date()).write_parquet(path)
    assert_is_bars(read(path, series=Series("a", "b", "BTCUSDT", "D")), daily)


def zip_of(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 10, 29, 6, 20, 0)), text, zipfile.ZIP_DEFLATED)
    return path


def test_each_member_of_a_zip_is_a_batch(tmp_path):
    lines = csv_with(TIMES_MS).splitlines()
    members = {"b.csv": "\n".join([lines[0], *lines[3:]]), "a.csv": "\n".join(lines[:3]), "a.csv.CHECKSUM": "0f"}
    path = zip_of(tmp_path / "days.zip", members)
    os.utime(path, (1_730_200_000, 1_730_200_000))
    batches = list(FileSource([path]).batches(HOURLY, []))
    assert [batch.source for batch in batches] == ["file:days.zip/a.csv", "file:days.zip/b.csv"]
    assert_is_bars(pl.concat([batch.rows for batch in batches]))
    assert [batch.rows["row"].to_list() for batch in batches] == [[1, 2], [1, 2]]
    # the archive's own clock, not the zoneless 06:20 of its members
    assert {batch.closed_before_ms for batch in batches} == {1_730_200_000_000}


def test_a_last_bar_counts_only_if_it_closed_before_the_file_was_written(tmp_path):
    path = write_text(tmp_path, csv_with(TIMES_MS))
    written_s = START_MS / 1000 + 3.5 * 3600
    os.utime(path, (written_s, written_s))
    (batch,) = FileSource([path]).batches(HOURLY, [])
    checked = check_bars(batch.rows, interval=HOURLY.grid, closed_before_ms=batch.closed_before_ms)
    assert (checked.bars.height, checked.n_forming) == (3, 1)


def test_a_file_written_in_the_future_lets_no_bar_of_the_future_in(tmp_path):
    path = write_text(tmp_path, csv_with(TIMES_MS))
    os.utime(path, (START_MS / 1000 + 10 * 3600,) * 2)
    now_ms = START_MS + 2 * HOUR_MS
    (batch,) = FileSource([path], now_ms=lambda: now_ms).batches(HOURLY, [])
    assert (batch.closed_before_ms, batch.fetched_at_ms) == (now_ms, now_ms)
    checked = check_bars(batch.rows, interval=HOURLY.grid, closed_before_ms=batch.closed_before_ms)
    assert (checked.bars.height, checked.n_forming) == (2, 2)


def test_drop_last_leaves_out_the_newest_bar_of_each_file_wherever_it_stands(tmp_path):
    lines = csv_with(TIMES_MS).splitlines()
    newest_second = write_text(tmp_path, "\n".join([lines[0], lines[3], lines[4], lines[2], lines[1]]))
    rows = read(newest_second, drop_last=True)
    assert rows["row"].to_list() == [1, 3, 4]
    assert rows["open_time"].to_list() == [TIMES[2], TIMES[1], TIMES[0]]


def test_rows_that_cannot_be_read_are_kept_and_quote_the_cell(tmp_path):
    good = csv_with(TIMES_MS).splitlines()
    bad = [
        f"{TIMES_MS[1]},67835.2,67886.4,67711.0,12,345.6,67720.0,4148.33",
        f"{TIMES_MS[2]},67720.0,n/a,67650.5,67850.1,3900.0,264200000.25",
        "yesterday,1,2,0.5,1,1,1",
        f"{TIMES_MS[3]},{'9' * 50}x,2,0.5,1,1,1",
        f"{TIMES_MS[3]},1,2,0.5",
        "12,1,2,0.5,1,1,1",
    ]
    rows = read(write_text(tmp_path, "\n".join([*good[:2], *bad[:3], "", *bad[3:]])))
    assert rows["row"].to_list() == [1, 2, 3, 4, 6, 7, 8]
    assert rows["reason"].to_list() == [
        None,
        "the row has more cells than there are columns",
        "high 'n/a' is not a number",
        "open_time 'yesterday' is not a time",
        f"open '{'9' * 40}' is not a number",
        None,
        "open_time '12' is not a time",
    ]
    checked = check_bars(rows, interval=HOURLY.grid, closed_before_ms=2**60)
    assert checked.bars.height + checked.quarantined.height == 7
    assert "close is not a finite number" in checked.quarantined["reason"].to_list()


@pytest.mark.parametrize(
    ("times", "time_unit"),
    [([ms // 1000 for ms in TIMES_MS[:2]] + TIMES_MS[2:], "ms"), ([1, 2, 3, 4], "s")],
)
def test_a_time_unit_that_is_not_clear_is_an_error_that_names_the_option(tmp_path, times, time_unit):
    path = write_text(tmp_path, csv_with(times))
    with pytest.raises(DataError, match="Give --time-unit s, ms, us or ns"):
        read(path)
    if time_unit == "ms":
        assert read(path, time_unit="ms")["reason"].null_count() == 2
    with pytest.raises(CallError, match="time unit 'm' is unknown"):
        read(path, time_unit="m")


def test_columns_can_be_mapped(tmp_path):
    path = write_text(tmp_path, csv_with(TIMES_MS, "when,a,b,c,last,amount,close"))
    names = {"when": "open_time", "a": "open", "b": "high", "c": "low", "last": "close", "amount": "volume"}
    expected = BARS.with_columns(pl.lit(None, pl.Float64).alias("turnover"))
    assert_is_bars(read(path, columns=names), expected)
    assert_is_bars(read(path, columns=names | {"close": "turnover"}))


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        (
            "when,o,h,l,c,v,q",
            {},
            DataError,
            r"known as open_time. It has 'when', 'o'.*--column 'NAME=open_time'",
        ),
        ("time,Open,open,l,c,v,h", {}, DataError, r"columns 'Open', 'open' could all be open.*--column 'Open=open'"),
        ("time,open,open,l,c,v,h", {}, DataError, r"columns 'open', 'open#2' could all be open"),
        ("time,o,h,l,c,v,q", {"columns": {"x": "open"}}, CallError, r"--column 'x=open' does not fit.*it has 'time'"),
        ("time,o,h,l,c,v,q", {"columns": {"o": "price"}}, CallError, r"a column can become 'open_time', 'open'"),
        ("time,o,h,l,c,v,q", {"columns": {"o": "low", "h": "low"}}, CallError, r"names one of ours twice"),
    ],
)
def test_columns_that_do_not_fit_are_errors_that_say_how_to_map(tmp_path, names, options, error, message):
    with pytest.raises(error, match=message):
        read(write_text(tmp_path, csv_with(TIMES_MS, names)), **options)


def with_symbols(symbols: list[str]) -> str:
    lines = csv_with(TIMES_MS).splitlines()
    return "\n".join(f"{symbol},{line}" for symbol, line in zip(["Symbol", *symbols], lines, strict=True))


@pytest.mark.parametrize("spelt", ["BTCUSDT", "btcusdt", "BTC/USDT", "BTC_USDT", "BTC/USDT:USDT"])
def test_of_a_file_of_several_symbols_only_the_one_asked_is_taken(tmp_path, spelt):
    rows = read(write_text(tmp_path, with_symbols([spelt, "ETHUSDT", spelt, ""])))
    assert rows["row"].to_list() == [1, 3, 4]
    assert rows["reason"].to_list() == [None, None, "no symbol"]


@pytest.mark.parametrize("symbols", [["ETHUSDT"] * 4, ["ETHUSDT", "LTCUSDT"] * 2])
def test_a_file_without_the_symbol_is_an_error(tmp_path, symbols):
    with pytest.raises(DataError, match=r"has no row of BTCUSDT; its symbols are ETHUSDT"):
        read(write_text(tmp_path, with_symbols(symbols)))


@pytest.mark.parametrize(
    ("step_ms", "message"),
    [
        (900_000, r"15 minutes \(interval 15\)"),
        (2 * HOUR_MS, r"\(interval 120\)"),
        (420_000, "7 minutes"),
        (1_500, "0.025"),
    ],
)
def test_bars_of_another_interval_are_an_error_that_names_it(tmp_path, step_ms, message):
    lines = [f"{START_MS + i * step_ms},1,1,1,1,1" for i in range(6)]
    with pytest.raises(DataError, match=f"does not hold bars of interval 60: they lie .*{message}"):
        read(write_text(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize("slots", [[0, 1, 2, 3, 9, 10, 11], [0, 2, 4, 6, 7, 8, 9, 12, 15, 18, 19], [0, 5, 9]])
def test_holes_are_not_another_interval(tmp_path, slots):
    lines = [f"{START_MS + i * HOUR_MS},1,1,1,1,1" for i in slots]
    assert read(write_text(tmp_path, "\n".join(lines))).height == len(slots)


def test_a_directory_stands_for_its_known_files_in_order(tmp_path):
    write_text(tmp_path, csv_with(TIMES_MS), "b.csv")
    BARS.write_parquet(tmp_path / "a.parquet")
    write_text(tmp_path, "not klines", "README.md")
    (tmp_path / "inner.csv").mkdir()
    batches = FileSource([tmp_path]).batches(HOURLY, [])
    assert [batch.source for batch in batches] == ["file:a.parquet", "file:b.csv"]


def test_paths_that_lead_nowhere_are_errors(tmp_path):
    with pytest.raises(CallError, match="no files are given"):
        list(FileSource([]).batches(HOURLY, []))
    with pytest.raises(CallError, match=r"gone.csv does not exist"):
        read(tmp_path / "gone.csv")
    with pytest.raises(CallError, match=r"has no .csv .parquet .feather .zip file"):
        read(tmp_path)
    with pytest.raises(CallError, match=r"suffix '.xlsx' is not known"):
        read(write_text(tmp_path, "x", "a.xlsx"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n\r\n", "no line that is not blank"),
        ("a.csv", b"open_time,open,high,low,close,volume\n", "has no rows"),
        ("a.zip", b"PK\x03\x04 no archive", "is not a zip that can be read"),
        ("a.parquet", b"PAR1 no table PAR1", "cannot be read as parquet"),
        ("a.feather", b"ARROW1 no table", "cannot be read as ipc"),
    ],
)
def test_damaged_files_are_data_errors(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(path)


def test_zips_that_hold_no_klines_are_data_errors(tmp_path):
    with pytest.raises(DataError, match=r"holds no .csv file. It has klines.json"):
        read(zip_of(tmp_path / "a.zip", {"klines.json": "{}"}))
    whole = zip_of(tmp_path / "b.zip", {"a.csv": csv_with(TIMES_MS)}).read_bytes()
    # byte 35 opens the compressed data (header 30, name 5): no such kind of block; byte 60 is text, so the sum fails
    for place, message in ((35, "invalid block type"), (60, "is not a zip that can be read")):
        damaged = bytearray(whole)
        damaged[place] = 0xFF
        (tmp_path / "b.zip").write_bytes(damaged)
        with pytest.raises(DataError, match=message):
            read(tmp_path / "b.zip")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pl.Series("close", [[1.0]] * 4), "column close is of type List"),
        (pl.Series("open_time", [True] * 4), "column open_time is of type Boolean"),
        (pl.Series("open_time", ["soon"] * 4), "no open_time can be read, the first is 'soon'"),
    ],
)
def test_columns_of_unusable_types_are_data_errors(tmp_path, column, message):
    path = tmp_path / "a.parquet"
    BARS.with_columns(column).write_parquet(path)
    with pytest.raises(DataError, match=message):
        read(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "bybit_linear_BTCUSDT_60m.parquet",
            {"exchange": "bybit", "category": "linear", "symbol": "BTCUSDT", "interval": "60"},
        ),
        (
            "binance_um_1000PEPEUSDT_D.parquet",
            {"exchange": "binance", "category": "um", "symbol": "1000PEPEUSDT", "interval": "D"},
        ),
        ("BTCUSDT-1h-2024-10-28.zip", {"symbol": "BTCUSDT", "interval": "60"}),
        ("futures-um-klines-BTCUSDT-15m-2024-10.zip", {"symbol": "BTCUSDT", "interval": "15"}),
        ("BTC_USDT_USDT-1h-futures.feather", {"symbol": "BTCUSDT", "interval": "60"}),
        ("BTC_USDT-5m.feather", {"symbol": "BTCUSDT", "interval": "5"}),
        ("ETHUSDT_240.csv", {"symbol": "ETHUSDT", "interval": "240"}),
        ("BTC_USDT_USDT-1h-mark.feather", {}),
        ("BTCUSDT_2023.csv", {}),
        ("klines.csv", {}),
    ],
)
def test_file_names_tell_parts_of_a_series(name, expected):
    assert guess_series(Path("/data") / name) == expected
    if {"exchange", "category"} <= expected.keys():
        assert Series.of(**expected)


CELLS = st.one_of(
    st.sampled_from(["", "nan", "inf", "-1", "1e400", "0x10", "1.5", "'", '"', str(START_MS), "2024-10-28"]),
    st.text(st.characters(exclude_characters=",;\t|\n\r", exclude_categories=["Cs"]), max_size=12),
)


@settings(max_examples=60, deadline=None)
@given(garbage=st.lists(st.lists(CELLS, min_size=1, max_size=9), max_size=12), data=st.data())
def test_no_row_of_garbage_is_lost_or_stops_the_good_ones(tmp_path_factory, garbage, data):
    good = csv_with(TIMES_MS).splitlines()
    lines = [*good[1:], *(",".join(cells) for cells in garbage)]
    lines = [good[0], *data.draw(st.permutations(lines))]
    # a line is a row where one of the seven columns, or the cell after them, holds something
    n_rows = sum(any(line.split(",")[:8]) for line in lines[1:])
    path = write_text(tmp_path_factory.mktemp("garbage"), "\n".join(lines))
    try:
        rows = read(path)
    except DataError as error:
        assert "--time-unit" in str(error) or "interval" in str(error)  # noqa: PT017
        return
    assert rows.height == n_rows
    checked = check_bars(rows, interval=Interval("60"), closed_before_ms=2**60)
    assert checked.bars.height + checked.quarantined.height + checked.n_repeated == n_rows
    assert checked.bars.join(BARS, on="open_time").height == BARS.height


@settings(max_examples=80, deadline=None)
@given(content=st.binary(max_size=400), suffix=st.sampled_from(["csv", "parquet", "feather", "zip"]))
def test_no_bytes_raise_anything_but_our_errors(tmp_path_factory, content, suffix):
    path = tmp_path_factory.mktemp("bytes") / f"a.{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(MMFError):
        read(path)


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 10**6), flip=st.integers(1, 255), suffix=st.sampled_from(["parquet", "feather", "zip"]))
def test_no_damaged_byte_raises_anything_but_our_errors(tmp_path_factory, position, flip, suffix):
    path = tmp_path_factory.mktemp("damage") / f"a.{suffix}"
    buffer = io.BytesIO()
    match suffix:
        case "parquet":
            BARS.write_parquet(buffer)
        case "feather":
            BARS.write_ipc(buffer)
        case _:
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("a.csv", csv_with(TIMES_MS))
    content = bytearray(buffer.getvalue())
    content[position % len(content)] ^= flip
    path.write_bytes(content)
    with contextlib.suppress(MMFError):
        read(path)


real_bars = pytest.mark.skipif("MMF_REAL_BARS" not in os.environ, reason="MMF_REAL_BARS is unset")


@real_bars
@pytest.mark.real_bars
def test_daily_archives_equal_the_same_month_from_elsewhere():
    folder = Path(os.environ["MMF_REAL_BARS"])
    archives = sorted((folder / "archives").glob("BTCUSDT-1m-2023-03-*.zip"))
    series = Series("binance", "spot", "BTCUSDT", "1")
    batches = list(FileSource(archives).batches(series, []))
    rows = pl.concat([batch.rows for batch in batches])
    checked = check_bars(rows, interval=series.grid, closed_before_ms=batches[0].closed_before_ms)
    (whole,) = FileSource([folder / "klines" / "binance_spot_BTCUSDT_1m.parquet"]).batches(series, [])
    march = pl.col("open_time").is_between(
        datetime(2023, 3, 1, tzinfo=UTC), datetime(2023, 4, 1, tzinfo=UTC), closed="left"
    )
    assert (len(batches), checked.bars.height, checked.quarantined.height) == (31, 44_560, 0)
    assert checked.bars.equals(whole.rows.filter(march).select(*BAR_SCHEMA))


@real_bars
@pytest.mark.real_bars
@pytest.mark.parametrize("market", ["futures-um", "spot"])
def test_archives_with_and_without_header_are_read(market):
    path = Path(os.environ["MMF_REAL_BARS"]) / "archives" / f"{market}-klines-BTCUSDT-1h-2024-10-28.zip"
    rows = read(path, series=Series.of("binance", "um", **guess_series(path)))
    assert rows.height == 24
    assert rows["reason"].null_count() == 24
    assert rows["turnover"].null_count() == 0
    assert rows["open"][0] == {"futures-um": 67992.7, "spot": 68021.69}[market]
