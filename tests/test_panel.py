import numpy as np
import polars as pl
import pytest

from mmf.bars import BAR_SCHEMA, Series
from mmf.errors import CallError, DataError
from mmf.panel import Panel, make_panel

BTC, ETH, SOL = (Series("bybit", "linear", f"{asset}USDT", "60") for asset in ("BTC", "ETH", "SOL"))


def rows(times: list[int], **columns: list[float | None]) -> pl.DataFrame:
    open_time = pl.Series("open_time", times, pl.Int64).cast(BAR_SCHEMA["open_time"])
    return pl.DataFrame([open_time, *(pl.Series(name, values, pl.Float32) for name, values in columns.items())])


FRAMES = {
    ETH: rows([20, 30], a=[5.0, None], b=[6.0, 7.0]),
    BTC: rows([10, 30], a=[1.0, 2.0], b=[3.0, 4.0]),
}


def check(panel: Panel) -> None:
    nan = np.nan
    assert panel.series == (BTC, ETH)
    assert panel.open_time_ms.tolist() == [10, 20, 30]
    assert panel.columns == ("b", "a")
    assert panel.mask.tolist() == [[True, False], [False, True], [True, True]]
    expected = [[[3, 1], [nan, nan]], [[nan, nan], [6, 5]], [[4, 2], [7, nan]]]
    np.testing.assert_array_equal(panel.x, np.array(expected, np.float32))
    assert panel.x.dtype == np.float32


def test_series_meet_on_the_union_of_their_times():
    check(make_panel(FRAMES, ["b", "a"]))


def test_neither_the_order_given_nor_laziness_matters():
    check(make_panel({one: FRAMES[one].lazy() for one in (BTC, ETH)}, ["b", "a"]))


def test_a_row_whose_features_are_all_undefined_is_present():
    panel = make_panel({SOL: rows([1], a=[None])}, ["a"])
    assert panel.mask.tolist() == [[True]]
    assert np.isnan(panel.x).all()


@pytest.mark.parametrize("given", [[SOL], [SOL, BTC]])
def test_a_series_without_rows_is_absent_throughout(given: list[Series]):
    panel = make_panel({one: FRAMES.get(one, rows([], a=[])) for one in given}, ["a"])
    assert panel.x.shape == (2 * (BTC in given), len(given), 1)
    assert not panel.mask[:, -1].any()


def test_a_lazy_frame_is_read_by_the_columns_asked_for(tmp_path):
    FRAMES[BTC].write_parquet(tmp_path / "btc.parquet")
    panel = make_panel({BTC: pl.scan_parquet(tmp_path / "btc.parquet")}, ["b"])
    assert panel.x[:, 0, 0].tolist() == [3.0, 4.0]


def test_intervals_do_not_mix():
    with pytest.raises(CallError, match="a panel has one interval, got 240 and 60"):
        make_panel({BTC: FRAMES[BTC], Series("bybit", "linear", "BTCUSDT", "240"): FRAMES[ETH]}, ["a"])


def test_no_series_is_no_panel():
    with pytest.raises(CallError, match="at least one series"):
        make_panel({}, ["a"])


@pytest.mark.parametrize("times", [[2, 1], [1, 1]])
def test_times_increase(times: list[int]):
    with pytest.raises(DataError, match="open_time does not increase in the rows of bybit:linear:BTCUSDT:60"):
        make_panel({BTC: rows(times, a=[1.0, 2.0])}, ["a"])
