"""Text for the terminal: what a page or a model wrote must not move the cursor, colour anything or reorder the line."""

import re

__all__ = ["printable", "shortened"]

# control characters but the newline, lone surrogates, and the marks that turn the reading direction around
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Replaces what a terminal would obey instead of showing."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\t", " "))


def shortened(text: str, limit: int) -> str:
    """One printable line of at most `limit` characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
