"""The type of the fixture `mmf`."""

from collections.abc import Callable

Run = Callable[..., str]
