"""A word for a colour, for things on a screen that have nothing else to be named by."""

import re

__all__ = ["color_word"]

_WORDS: dict[str, tuple[int, int, int]] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
    "red": (255, 0, 0),
    "maroon": (128, 0, 0),
    "orange": (255, 165, 0),
    "brown": (165, 42, 42),
    "yellow": (255, 255, 0),
    "olive": (128, 128, 0),
    "lime": (0, 255, 0),
    "green": (0, 128, 0),
    "cyan": (0, 255, 255),
    "teal": (0, 128, 128),
    "blue": (0, 0, 255),
    "navy": (0, 0, 128),
    "purple": (128, 0, 128),
    "magenta": (255, 0, 255),
    "pink": (255, 192, 203),
}
_RGB = re.compile(r"rgba?\((\d+), (\d+), (\d+)(?:, ([\d.]+))?\)")


def color_word(css: str) -> str:
    """The nearest colour word for a computed style such as "rgb(255, 0, 0)"; empty for none and for transparent."""
    match = _RGB.fullmatch(css)
    if match is None or match[4] == "0":
        return ""
    rgb = [int(match[i]) for i in (1, 2, 3)]
    return min(_WORDS, key=lambda word: sum((a - b) ** 2 for a, b in zip(rgb, _WORDS[word], strict=True)))
