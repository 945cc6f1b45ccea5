"""Floats as exchanges write them: plain decimals that read back to the same bits."""

from decimal import Decimal

import polars as pl


def plain(values: pl.Series, /, *, decimals: int = 0) -> pl.Series:
    """Shortest plain decimals of a Float64 series, padded with zeros to at least `decimals` places.

    With no places asked for, whole numbers carry no point, as on Bybit ("30710").
    """
    text = values.cast(pl.String)
    if text.str.contains("e", literal=True).any():  # rare: prices below 1e-5, volumes from 1e16
        text = text.map_elements(_without_exponent, return_dtype=pl.String)
    if not decimals:
        return text.str.strip_suffix(".0")
    parts = text.to_frame("text").select(pl.col("text").str.split_exact(".", 1).struct.unnest())
    places = parts["field_1"].fill_null("").str.pad_end(decimals, "0")
    return parts["field_0"] + "." + places


# ------------------------------------------------------------------------------------


def _without_exponent(text: str) -> str:
    return format(Decimal(text), "f")
