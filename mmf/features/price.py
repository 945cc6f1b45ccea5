"""Price features: closed forms of one bar and its predecessor's close."""

import polars as pl

from mmf.features.record import Computation, Feature


def bar_shape() -> dict[str, pl.Expr]:
    """Return the price columns as expressions over open, high, low and close.

    Notes
    -----
    The three ratios are parts of the bar's range high - low and add up to 1. A flat bar (high = low) has none of
    them: all three are 0.
    """
    span = pl.col("high") - pl.col("low")
    top = pl.max_horizontal("open", "close")
    bottom = pl.min_horizontal("open", "close")

    def part_of_range(part: pl.Expr) -> pl.Expr:
        return pl.when(span > 0).then(part / span).otherwise(0.0)

    return {
        "log_return": (pl.col("close") / pl.col("close").shift(1)).log(),
        "log_range": (pl.col("high") / pl.col("low")).log(),
        "body_shadow_ratio": part_of_range(top - bottom),
        "upper_shadow_ratio": part_of_range(pl.col("high") - top),
        "lower_shadow_ratio": part_of_range(bottom - pl.col("low")),
    }


_SHAPE = Computation.expressions(bar_shape, "open", "high", "low", "close")

FEATURES = (
    Feature(
        name="log_return",
        family="price",
        unit="log-return",
        description="ln(close / previous close); across a hole it is one return.",
        oracle="closed form",
        undefined="first row",
        computation=_SHAPE,
        lookback=1,
    ),
    Feature(
        name="log_range",
        family="price",
        unit="log-return",
        description="ln(high / low).",
        oracle="closed form",
        undefined="never",
        computation=_SHAPE,
        lookback=0,
    ),
    Feature(
        name="body_shadow_ratio",
        family="price",
        unit="ratio 0..1",
        description="|close - open| / (high - low), the part of the range that is body; 0 for a flat bar.",
        oracle="closed form",
        undefined="never",
        computation=_SHAPE,
        lookback=0,
    ),
    Feature(
        name="upper_shadow_ratio",
        family="price",
        unit="ratio 0..1",
        description="(high - max(open, close)) / (high - low); 0 for a flat bar.",
        oracle="closed form",
        undefined="never",
        computation=_SHAPE,
        lookback=0,
    ),
    Feature(
        name="lower_shadow_ratio",
        family="price",
        unit="ratio 0..1",
        description="(min(open, close) - low) / (high - low); 0 for a flat bar.",
        oracle="closed form",
        undefined="never",
        computation=_SHAPE,
        lookback=0,
    ),
)
