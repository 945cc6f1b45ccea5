"""The findings of an audit as one HTML page: a line a column, declared beside measured memory."""

import math
from html import escape
from typing import Any

import polars as pl

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c2128; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; position: sticky; top: 0; background: #fff; border-bottom: 2px solid #d0d7de; }
td, th { padding: 2px 8px; } td { border-bottom: 1px solid #eaeef2; } .number { text-align: right; }
.bar { width: 16rem; } .bar div { height: 6px; border-radius: 2px; } .declared { background: #c8d6e5; }
.measured { background: #2f6fab; } .failed { background: #fdecea; } .failed .measured { background: #c0392b; }
.failed .verdict { color: #a4262c; font-weight: 600; } .note .verdict { color: #8a6100; }
tr.family td { font-weight: 600; padding-top: 1rem; border-bottom: 2px solid #eaeef2; } .key div {
display: inline-block; width: 2rem; height: 6px; border-radius: 2px; vertical-align: middle; margin: 0 4px 0 12px; }
"""
_HEAD = ("column", "kind", "declared", "measured", "", "leaks", "verdict")


def audit_page(found: pl.DataFrame, /, *, title: str) -> str:
    """Write the page.

    Parameters
    ----------
    found : pl.DataFrame
        What `audit_features` returned.
    title : str
        What was audited.

    Returns
    -------
    str
        HTML that needs no other file. Bars are on a logarithmic scale up to the longest memory.
    """
    longest = max(1, *found["declared"], *found["measured"])
    lines, family = [], None
    for row in found.iter_rows(named=True):
        if row["family"] != family:
            family = row["family"]
            lines.append(f'<tr class="family"><td colspan="{len(_HEAD)}">{escape(family)}</td></tr>')
        lines.append(_line(row, longest))
    n_sound = int(found["is_sound"].sum())
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Audit of {escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>Audit of {escape(title)}</h1>\n"
        f"<p>{n_sound} of {found.height} columns are sound: no look at later bars, the same bits however the bars "
        "arrived, and no memory beyond the declared one.</p>\n"
        '<div class="key">Bars, on a logarithmic scale:<div class="declared"></div>declared'
        '<div class="measured"></div>measured</div>\n'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(lines) + "\n</tbody></table></body></html>\n"
    )


# ------------------------------------------------------------------------------------


def _line(row: dict[str, Any], longest: int) -> str:
    state = "failed" if not row["is_sound"] else "note" if row["verdict"] != "sound" else ""
    bars = "".join(
        f'<div class="{name}" style="width:{_percent(row[name], longest):.1f}%"></div>'
        for name in ("declared", "measured")
    )
    numbers = [f'<td class="number">{row[name]:,}</td>' for name in ("declared", "measured")]
    return (
        f'<tr class="{state}"><td>{escape(row["column"])}</td><td>{row["kind"]}</td>{"".join(numbers)}'
        f'<td class="bar">{bars}</td><td class="number">{row["leak_rows"]:,}</td>'
        f'<td class="verdict">{escape(row["verdict"])}</td></tr>'
    )


def _percent(n_bars: int, longest: int) -> float:
    return 100 * math.log1p(max(0, n_bars)) / math.log1p(longest)
