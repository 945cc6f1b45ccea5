"""A value as text, the same on a page and in the terminal."""

from datetime import datetime


def cell_text(value: object, /) -> str:
    """Return a value as a reader wants it: four digits, thousands apart, times to the minute, a dash for nothing."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}" if value.second == value.microsecond == 0 else f"{value:%Y-%m-%d %H:%M:%S}"
        case _:
            return str(value)
