"""What the charts share: colours that show on white and on black, and series thinned to what a screen can tell."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#3d8bd4", "#e08a1e", "#2fa36b", "#dc4b58", "#a06bd6", "#8b93a1"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
EXPERTS = {"trend": BLUE, "range": GREEN, "stress": ORANGE, "cnn": PURPLE}
N_POINTS = 3_000  # of a line: more than a wide screen has pixels, little enough to draw at once
N_BINS = 60
DIGITS = 5


def thin(frame: pl.DataFrame, columns: Sequence[str], /, *, n_points: int = N_POINTS) -> pl.DataFrame:
    """Return at most about `n_points` rows with all that can be seen of the columns' lines.

    The rows are cut into blocks of equally many; of each block the first row stays, and those in which a column is
    lowest or highest, so that no spike gets lost as it would if every k-th row were taken. The last row stays.

    Parameters
    ----------
    frame : pl.DataFrame
        Rows in order.
    columns : sequence of str
        What is drawn; nulls and NaN are never the lowest or highest.
    n_points : int
        Shorter frames are returned as they are.
    """
    if frame.height <= n_points:
        return frame
    n_blocks = max(1, n_points // (2 * len(columns) + 1))
    edges = np.linspace(0, frame.height, n_blocks + 1).astype(int)[:-1]
    kept = {frame.height - 1, *edges.tolist()}
    for column in columns:
        values = frame[column].cast(pl.Float64).to_numpy()
        low, high = np.where(np.isnan(values), np.inf, values), np.where(np.isnan(values), -np.inf, values)
        for start, stop in zip(edges, [*edges[1:], frame.height], strict=True):
            kept |= {int(start + low[start:stop].argmin()), int(start + high[start:stop].argmax())}
    return frame[sorted(kept)]


def block_means(frame: pl.DataFrame, columns: Sequence[str], /, *, n_points: int) -> pl.DataFrame:
    """Return the means of the columns over blocks of equally many rows, each at its first row's open_time."""
    size = -(-frame.height // n_points)
    block = (pl.int_range(pl.len()) // max(1, size)).alias("block")
    means = [pl.col(name).cast(pl.Float64).fill_nan(None).mean() for name in columns]
    blocks = frame.group_by(block, maintain_order=True).agg(pl.col("open_time").first(), *means)
    return blocks.drop("block")


def instants(column: pl.Series, /) -> list[str]:
    """Return times as plotly reads them, in UTC and as short as can be."""
    return column.dt.strftime("%Y-%m-%d %H:%M").to_list()


def numbers(column: pl.Series, /) -> list[float | None]:
    """Return numbers with as many digits as can be seen; null for NaN."""
    return column.cast(pl.Float64).fill_nan(None).round_sig_figs(DIGITS).to_list()


def line(frame: pl.DataFrame, column: str, /, *, name: str, colour: str, row: int = 1, **more: Any) -> go.Scatter:
    """Return a line of a column over open_time, in one of the rows of `stacked`."""
    style = {"color": colour, "width": 1.5} | more.pop("line", {})
    return go.Scatter(
        x=instants(frame["open_time"]),
        y=numbers(frame[column]),
        name=name,
        line=style,
        mode="lines",
        **_in(row),
        **more,
    )


def stacked(shares: Sequence[float], titles: Sequence[str], /, **layout: Any) -> dict[str, Any]:
    """Return a layout of rows above each other over one time axis.

    Parameters
    ----------
    shares : sequence of float
        Height of each row; the first is on top.
    titles : sequence of str
        Of the vertical axes.
    layout
        Whatever else belongs to the layout; `yaxis`, `yaxis2` and so on are added to the rows' own.
    """
    gap = 0.05
    heights = np.array(shares) / sum(shares) * (1 - gap * (len(shares) - 1))
    found: dict[str, Any] = {"hovermode": "x unified", "xaxis": {"anchor": _in(len(shares))["yaxis"]}}
    top = 1.0
    for row, (height, title) in enumerate(zip(heights, titles, strict=True), 1):
        name = "yaxis" if row == 1 else f"yaxis{row}"
        domain = [max(0.0, round(top - height, 4)), round(top, 4)]
        found[name] = {"domain": domain, "title": {"text": title}} | layout.pop(name, {})
        top -= height + gap
    return found | layout


def histogram(values: np.ndarray, mark: float | None, /, *, name: str, colour: str, marked: str) -> list[Any]:
    """Return bars of how often values lie where, and an upright line at a value of its own.

    The bins span the values and the mark, so that the line is never outside of the picture.
    """
    values = values[np.isfinite(values)]
    reach = np.append(values, [] if mark is None else mark)
    n_bins, margin = min(N_BINS, max(8, len(values) // 3)), 0.02 * (reach.max() - reach.min()) + 1e-6
    counts, edges = np.histogram(values, bins=n_bins, range=(reach.min() - margin, reach.max() + margin))
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    bars = go.Bar(
        x=[float(f"{x:.{DIGITS}g}") for x in middle],
        y=counts.tolist(),
        width=width.tolist(),
        name=name,
        marker={"color": colour, "opacity": 0.75},
    )
    return [bars] if mark is None else [bars, upright(mark, counts.max(), name=marked, colour=RED)]


def upright(x: float, top: float, /, *, name: str, colour: str, dash: str = "solid", **more: Any) -> go.Scatter:
    """Return an upright line from 0 to `top`, which the legend can name and hide."""
    style = {"color": colour, "width": 2.5, "dash": dash}
    return go.Scatter(x=[x, x], y=[0, float(top)], name=name, mode="lines", line=style, **more)


def by_symbol(frame: pl.DataFrame, /) -> list[tuple[str, pl.DataFrame]]:
    """Return the rows of each symbol; one part of no name where there is one symbol or no such column."""
    if "symbol" not in frame.columns or frame["symbol"].n_unique() < 2:
        return [("", frame)]
    return [(str(symbol), rows) for (symbol,), rows in frame.group_by("symbol", maintain_order=True)]


def of(title: str, symbol: str, /) -> str:
    """Return a title with the symbol, where there are several."""
    return f"{title}: {symbol}" if symbol else title


# ------------------------------------------------------------------------------------


def _in(row: int) -> dict[str, str]:
    return {"yaxis": "y" if row == 1 else f"y{row}"}
