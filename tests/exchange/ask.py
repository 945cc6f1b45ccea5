"""One request as the wire modules see it."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.exchange.book import Book, Window

Spoil = Callable[[list[bytes]], list[bytes]]


@dataclass(frozen=True)
class Ask:
    """What is asked, and when.

    Attributes
    ----------
    now_ms : int
        The exchange's clock.
    turn : int
        Number of the request, which moves the forming bar.
    spoil : callable, optional
        What a fault does to the rows of the page.
    """

    path: str
    query: dict[str, str]
    now_ms: int
    turn: int
    spoil: Spoil | None = None


def page_text(book: Book, window: Window, ask: Ask) -> bytes:
    """The rows of a page with commas between them, spoiled where a fault says so."""
    if ask.spoil is None:
        return book.text(window)
    return b",".join(ask.spoil(book.rows(window)))
