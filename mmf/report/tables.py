"""Tables of a page as HTML."""

from html import escape

from mmf.report.cells import cell_text
from mmf.report.parts import Table
from mmf.report.prose import prose

_SIGNS = {"pass": "✓", "same": "✓", "yes": "✓", "edge": "✓", "fail": "✕", "differs": "✕", "no": "✕", "no edge": "✕"}


def table_html(table: Table, /) -> str:
    """Return a table with its heading, folded where it asks for that."""
    caption = f'<p class="caption">{prose(table.caption)}</p>'
    if table.is_folded:
        return f'<details class="part"><summary>{escape(table.title)}</summary>{caption}{_body(table)}</details>'
    return f'<section class="part"><h3>{escape(table.title)}</h3>{caption}{_body(table)}</section>'


# ------------------------------------------------------------------------------------


def _body(table: Table) -> str:
    frame = table.frame
    kinds = {name: "number" if kind.is_numeric() else "text" for name, kind in frame.schema.items()}
    head = "".join(f'<th class="{kinds[name]}">{escape(name.replace("_", " "))}</th>' for name in frame.columns)
    rows = "".join(f"<tr>{_cells(row, kinds, table.status)}</tr>" for row in frame.iter_rows(named=True))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cells(row: dict[str, object], kinds: dict[str, str], status: str | None) -> str:
    return "".join(
        _status(cell_text(value)) if name == status else f'<td class="{kinds[name]}">{escape(cell_text(value))}</td>'
        for name, value in row.items()
    )


def _status(word: str) -> str:
    sign = _SIGNS.get(word, "•")
    kind = {"✓": "good", "✕": "bad"}.get(sign, "open")
    return f'<td><span class="status {kind}">{sign} {escape(word)}</span></td>'
