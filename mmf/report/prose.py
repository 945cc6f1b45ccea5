"""Sentences of a page as HTML."""

import re
from html import escape

_CODE = re.compile(r"`([^`]+)`")


def prose(text: str, /) -> str:
    """Return a text escaped, with what stands between backticks as code.

    Examples
    --------
    >>> prose("a < b: run `mmf train`")
    'a &lt; b: run <code>mmf train</code>'
    """
    return _CODE.sub(r"<code>\1</code>", escape(text, quote=False))
