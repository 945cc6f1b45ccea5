"""What a page is made of: the answer, alarms, tiles, and below them charts, tables and notes in groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go
import polars as pl

Colour = Literal["green", "amber", "red", "grey"]


@dataclass(frozen=True)
class Chart:
    """A figure and what a reader must know to read it.

    Attributes
    ----------
    title : str
        What it shows.
    caption : str
        How to read it, in a sentence or two.
    figure : go.Figure
        Drawn over the whole width.
    """

    title: str
    caption: str
    figure: go.Figure


@dataclass(frozen=True)
class Table:
    """A table and what a reader must know to read it.

    Attributes
    ----------
    title, caption : str
        As of a chart.
    frame : pl.DataFrame
        Shown as it is: one row a line, `_` in a column's name as a blank.
    status : str, optional
        Column whose words are shown as passed (`pass`, `same`, `yes`, `edge`), as failed (`fail`, `differs`, `no`,
        `no edge`), or as neither; each with a sign of its own, so that colour does not tell alone.
    is_folded : bool
        Opened on demand.
    """

    title: str
    caption: str
    frame: pl.DataFrame
    status: str | None = None
    is_folded: bool = False


@dataclass(frozen=True)
class Note:
    """A picture that is not there, and how to get it.

    Attributes
    ----------
    title, text : str
        What would be shown, and why it is not.
    command : str
        What to run for it; none where it is empty.
    """

    title: str
    text: str
    command: str = ""


Part = Chart | Table | Note


@dataclass(frozen=True)
class Group:
    """Parts that answer one question; a line in the table of contents.

    Attributes
    ----------
    title, lead : str
        Heading, and a sentence below it.
    parts : sequence of Part
        In order.
    """

    title: str
    lead: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Light:
    """The answer, as a traffic light with words.

    Attributes
    ----------
    colour : {"green", "amber", "red", "grey"}
        Grey where there is no answer.
    word : str
        The answer in a word or two, such as `no edge`.
    sentences : sequence of str
        The first is set off.
    title : str
        What is answered, where a page answers several.
    """

    colour: Colour
    word: str
    sentences: Sequence[str]
    title: str = ""


@dataclass(frozen=True)
class Tile:
    """A key figure.

    Attributes
    ----------
    name, value : str
        What it is, and the figure as it is shown.
    note : str
        What to compare it with.
    """

    name: str
    value: str
    note: str = ""
