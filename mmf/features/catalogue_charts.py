"""Charts of the catalogue: the close and a few columns of a family, as SVG written by hand."""

from typing import NamedTuple

import numpy as np
import polars as pl

from mmf.bars import Interval
from mmf.features.build import compute_chunk
from mmf.features.registry import FeatureSet, known_features
from mmf.markets.simulated import MarketConfig, SimulatedMarket

N_SHOWN = 400
N_BARS = 5_600  # the longest memory lies behind every bar shown

_WIDTH, _LEFT, _RIGHT = 880, 96, 12
_PANEL, _GAP, _TOP = 76, 14, 10
_INK, _GRID = "#57606a", "#d8dee4"
_COLOURS = ("#8c959f", "#2f6fab", "#b35900", "#3a7d44", "#8250a8")


class Panel(NamedTuple):
    """Columns that share an axis."""

    columns: tuple[str, ...]


PANELS = {
    "price": (Panel(("log_return",)), Panel(("body_shadow_ratio",))),
    "volatility": (
        Panel(("natr_14", "natr_55")),
        Panel(("bb_percent_b_21",)),
        Panel(("volatility_20", "volatility_100")),
    ),
    "momentum": (Panel(("rsi_14", "mfi_14")), Panel(("cci_21",)), Panel(("macd", "macd_signal"))),
    "trend": (Panel(("adx_14", "plus_di_14", "minus_di_14")), Panel(("sma_dist_55", "ema_dist_55"))),
    "volume": (Panel(("cmf_20",)), Panel(("obv_100",))),
    "statistics": (Panel(("zscore_50",)), Panel(("skew_100",)), Panel(("kurtosis_100",))),
    "chaos": (Panel(("hurst_200",)), Panel(("entropy_200",)), Panel(("fdi_200",))),
}


def chart_bars() -> pl.DataFrame:
    """Return the bars that the charts show, with all that the columns remember before them."""
    return SimulatedMarket(MarketConfig(n_bars=N_BARS, edge="none")).bars("BTCUSDT")


def chart(family: str, bars: pl.DataFrame, /) -> str:
    """Draw a family.

    Parameters
    ----------
    family : str
        A key of `PANELS`, or a family whose first columns are to be drawn.
    bars : pl.DataFrame
        See `chart_bars`.

    Returns
    -------
    str
        SVG with coordinates to a tenth of a pixel.
    """
    panels = PANELS.get(family) or _first_columns(family)
    wanted = {column for panel in panels for column in panel.columns}
    features = FeatureSet("chart", tuple(feature for feature in known_features() if feature.name in wanted))
    frame = compute_chunk(features, bars, interval=Interval("60"), n_own=N_SHOWN)
    drawn = [(("close",), bars.tail(N_SHOWN)), *((panel.columns, frame) for panel in panels)]
    height = _TOP + len(drawn) * (_PANEL + _GAP)
    parts = [_panel(columns, rows, _TOP + place * (_PANEL + _GAP)) for place, (columns, rows) in enumerate(drawn)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="11" fill="{_INK}">\n<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


# ------------------------------------------------------------------------------------


def _first_columns(family: str) -> tuple[Panel, ...]:
    columns = [feature.name for feature in known_features() if feature.family == family]
    return tuple(Panel((column,)) for column in columns[:2])


def _panel(columns: tuple[str, ...], frame: pl.DataFrame, top: int) -> str:
    values = {column: frame[column].to_numpy().astype(float) for column in columns}
    low = min(float(np.nanmin(v)) for v in values.values())
    high = max(float(np.nanmax(v)) for v in values.values())
    width = _WIDTH - _LEFT - _RIGHT
    lines = [f'<rect x="{_LEFT}" y="{top}" width="{width}" height="{_PANEL}" fill="none" stroke="{_GRID}"/>']
    if low < 0 < high:
        zero = _y(np.zeros(1), low, high, top)[0]
        lines.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{zero:.1f}" y2="{zero:.1f}" stroke="{_GRID}"/>')
    for place, (column, line) in enumerate(values.items()):
        colour = _COLOURS[0] if column == "close" else _COLOURS[1 + place]
        lines.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.2" points="{_points(line, low, high, top)}"/>'
        )
        lines.append(f'<text x="4" y="{top + 24 + 14 * place}" fill="{colour}">{column}</text>')
    lines.append(f'<text x="{_LEFT - 4}" y="{top + 9}" text-anchor="end">{_number(high)}</text>')
    lines.append(f'<text x="{_LEFT - 4}" y="{top + _PANEL}" text-anchor="end">{_number(low)}</text>')
    return "\n".join(lines)


def _points(values: np.ndarray, low: float, high: float, top: int) -> str:
    x = _LEFT + np.arange(len(values)) * (_WIDTH - _LEFT - _RIGHT) / (len(values) - 1)
    pairs = zip(x, _y(values, low, high, top), strict=True)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs if np.isfinite(b))


def _y(values: np.ndarray, low: float, high: float, top: int) -> np.ndarray:
    return top + _PANEL * (high - values) / (high - low or 1.0)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
