"""Text in pictures, fast: each glyph of a font is drawn once and then stamped."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

__all__ = ["Lettering", "TypeFace", "faces_in", "lettering", "system_faces"]

_SYSTEM_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts/Supplemental",
    "C:/Windows/Fonts",
)
_FAMILIES = (  # file names of the regular and the bold face of what pages are mostly set in
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"),
    ("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf"),
    ("DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"),
    ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf"),
    ("LiberationSerif-Regular.ttf", "LiberationSerif-Bold.ttf"),
    ("LiberationMono-Regular.ttf", "LiberationMono-Bold.ttf"),
    ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"),
    ("Roboto-Regular.ttf", "Roboto-Bold.ttf"),
    ("Arial.ttf", "Arial Bold.ttf"),
    ("arial.ttf", "arialbd.ttf"),
)


class TypeFace(NamedTuple):
    """The files of a family; None is the font that Pillow brings."""

    regular: Path | None = None
    bold: Path | None = None


class _Glyph(NamedTuple):
    """A character as it is stamped: its ink, where that lies from the pen in px, how far the pen moves on."""

    ink: Image.Image | None
    x_px: int
    y_px: int
    advance_px: float


class Lettering:
    """A font in a size.

    Args:
        path: The file; None is the font that Pillow brings.
        size_px: The size of its em square.

    Attributes:
        size_px: As given.
        line_px: From one line to the next.
    """

    def __init__(self, path: Path | None, size_px: int) -> None:
        self.size_px = size_px
        basic = ImageFont.Layout.BASIC
        font = None if path is None else ImageFont.truetype(path, size_px, layout_engine=basic)
        self._font = font or ImageFont.load_default(size_px)
        assert isinstance(self._font, ImageFont.FreeTypeFont)  # what Pillow brings is one where FreeType is
        ascent, descent = self._font.getmetrics()
        self.line_px = ascent + descent
        self._glyphs: dict[str, _Glyph] = {}

    def width(self, text: str) -> float:
        """How wide a text is, in px."""
        return sum(self._glyph(character).advance_px for character in text)

    def write(self, draw: ImageDraw.ImageDraw, x: float, y: float, text: str, fill: str) -> None:
        """Writes a line, its upper left corner at a point."""
        for character in text:
            ink, x_px, y_px, advance_px = self._glyph(character)
            if ink is not None:
                draw.bitmap((round(x) + x_px, round(y) + y_px), ink, fill)
            x += advance_px

    def fitting(self, text: str, width_px: float) -> str:
        """As many whole words of a text as fit, and at least one letter."""
        words = text.split(" ")
        while len(words) > 1 and self.width(" ".join(words)) > width_px:
            del words[-1]
        text = " ".join(words)
        while len(text) > 1 and self.width(text) > width_px:
            text = text[:-1]
        return text

    def lines(self, text: str, width_px: float) -> list[str]:
        """Breaks a text into lines; a word that is too long for one stands out of it."""
        lines: list[str] = []
        for word in text.split(" "):
            if lines and self.width(f"{lines[-1]} {word}") <= width_px:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
        return lines

    def _glyph(self, character: str) -> _Glyph:
        glyph = self._glyphs.get(character)
        if glyph is None:
            glyph = self._glyphs[character] = self._drawn(character)
        return glyph

    def _drawn(self, character: str) -> _Glyph:
        assert isinstance(self._font, ImageFont.FreeTypeFont)
        left, top, right, bottom = map(round, self._font.getbbox(character))
        advance_px = self._font.getlength(character)
        if right <= left or bottom <= top:
            return _Glyph(None, 0, 0, advance_px)
        ink = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(ink).text((-left, -top), character, font=self._font, fill=255)
        return _Glyph(ink, left, top, advance_px)


@lru_cache(maxsize=512)
def lettering(path: Path | None, size_px: int) -> Lettering:
    """The font in a size, kept for the next time."""
    return Lettering(path, size_px)


@lru_cache(maxsize=1)
def system_faces() -> tuple[TypeFace, ...]:
    """The families that are known here and installed, and the one that Pillow brings."""
    return faces_in([Path(folder) for folder in _SYSTEM_FOLDERS])


def faces_in(folders: Sequence[Path]) -> tuple[TypeFace, ...]:
    """The known families among the files of folders, at any depth, and the one that Pillow brings."""
    files = {
        path.name: path for folder in reversed(folders) if folder.is_dir() for path in sorted(folder.rglob("*.ttf"))
    }
    families = [(files.get(regular), files.get(bold)) for regular, bold in _FAMILIES]
    return (*(TypeFace(regular, bold or regular) for regular, bold in families if regular), TypeFace())
