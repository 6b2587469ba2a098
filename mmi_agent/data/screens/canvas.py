"""A screen while it is drawn, and what can be said of each thing on it."""

from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from PIL import Image, ImageDraw

from mmi_agent.data.screens.lettering import Lettering, TypeFace, lettering
from mmi_agent.types import Box

__all__ = ["CHROMIUM", "Canvas", "Theme", "Widget", "choose_theme"]

_FULL = 1000


class Widget(NamedTuple):
    """A thing on a drawn screen, in the words in which recorded runs think of it.

    Attributes:
        role: As in "button", "text field", "checkbox".
        name: What stands on it or beside it; empty where nothing does.
        value: What it holds or shows.
        states: Such as "checked" and "focused".
        box: Left, top, right, bottom, each 0..1000 of the picture, as in `Element.box`.
    """

    role: str
    name: str
    value: str
    states: tuple[str, ...]
    box: Box

    @property
    def center(self) -> tuple[int, int]:
        """The middle of the box, 0..1000."""
        left, top, right, bottom = self.box
        return (left + right) // 2, (top + bottom) // 2


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours, as Pillow names them, and shapes.

    Attributes:
        ground: Behind everything.
        ink: Of text.
        faint: Of lines, and of text that matters less.
        button: Of buttons, with their text and their edge.
        field: Of what can be typed into or ticked, with its text and its edge.
        accent: Of what is chosen.
        link: Of links.
        radius_px: Of the corners of buttons and fields.
        edge_px: Width of edges.
    """

    ground: str = "#ffffff"
    ink: str = "#000000"
    faint: str = "#999999"
    button: tuple[str, str, str] = ("#efefef", "#000000", "#767676")
    field: tuple[str, str, str] = ("#ffffff", "#000000", "#767676")
    accent: str = "#0075ff"
    link: str = "#0000ee"
    radius_px: int = 5
    edge_px: int = 2


CHROMIUM = Theme()
"""What a page looks like in Chromium that says nothing about its looks, on a screen of two pixels a unit."""

_THEMES = (
    CHROMIUM,
    CHROMIUM,
    Theme(ground="#f0f0f0", button=("#e1e1e1", "#000000", "#adadad"), radius_px=0, edge_px=1, accent="#0078d7"),
    Theme(
        ground="#fafafa",
        ink="#202124",
        button=("#1a73e8", "#ffffff", "#1a73e8"),
        field=("#ffffff", "#202124", "#dadce0"),
        accent="#1a73e8",
        link="#1a73e8",
        radius_px=8,
    ),
    Theme(
        ink="#333333",
        button=("#5cb85c", "#ffffff", "#4cae4c"),
        field=("#ffffff", "#555555", "#cccccc"),
        accent="#337ab7",
        link="#337ab7",
        radius_px=6,
    ),
    Theme(
        ground="#eef3f8",
        ink="#222222",
        button=("#ffffff", "#444444", "#c5c5c5"),
        field=("#ffffff", "#222222", "#aaaaaa"),
        accent="#007fff",
        radius_px=3,
        edge_px=1,
    ),
    Theme(
        ground="#1e1e1e",
        ink="#e6e6e6",
        faint="#777777",
        button=("#3a3a3a", "#f0f0f0", "#5a5a5a"),
        field=("#2b2b2b", "#f0f0f0", "#6a6a6a"),
        accent="#4da3ff",
        link="#7ab8ff",
    ),
    Theme(
        ground="#22313f",
        ink="#ecf0f1",
        faint="#8899a6",
        button=("#e67e22", "#ffffff", "#d35400"),
        field=("#ecf0f1", "#22313f", "#95a5a6"),
        accent="#e67e22",
        link="#5dade2",
        radius_px=0,
    ),
)


def choose_theme(chance: Random) -> Theme:
    """One of the themes."""
    return chance.choice(_THEMES)


class Canvas:
    """A picture that is drawn on, and the widgets on it in the order of reading.

    Args:
        size_px: Width and height.
        theme: Its looks.
        face: Its font.
        text_px: The size of plain text.
        chance: Decides whatever is left open.
    """

    def __init__(self, size_px: tuple[int, int], theme: Theme, face: TypeFace, text_px: int, chance: Random) -> None:
        self.width_px, self.height_px = size_px
        self.theme = theme
        self.face = face
        self.chance = chance
        self.text_px = text_px
        self.image = Image.new("RGB", size_px, theme.ground)
        self.draw = ImageDraw.Draw(self.image)
        self.widgets: list[Widget] = []

    @property
    def plain(self) -> Lettering:
        """The font of plain text."""
        return lettering(self.face.regular, self.text_px)

    @property
    def bold(self) -> Lettering:
        """The font of headings."""
        return lettering(self.face.bold, self.text_px)

    @property
    def small(self) -> Lettering:
        """The font of what matters less."""
        return lettering(self.face.regular, max(self.text_px - 4, 12))

    def write(self, x: float, y: float, text: str, font: Lettering | None = None, fill: str = "") -> float:
        """Writes a line; returns where it ends, in px from the left."""
        font = font or self.plain
        font.write(self.draw, x, y, text, fill or self.theme.ink)
        return x + font.width(text)

    def plate(self, box: tuple[float, float, float, float], fill: str, edge: str = "", edge_px: int = 0) -> None:
        """Fills a rectangle with the theme's corners."""
        radius_px, edge_px = self.theme.radius_px, edge_px or self.theme.edge_px
        if radius_px:
            self.draw.rounded_rectangle(box, radius_px, fill, edge or None, edge_px)
        else:
            self.draw.rectangle(box, fill, edge or None, edge_px)

    def note(
        self,
        role: str,
        name: str,
        box: tuple[float, float, float, float],
        *,
        value: str = "",
        states: tuple[str, ...] = (),
    ) -> None:
        """Takes down a widget, its box in px; not one whose middle is outside of the picture."""
        left, top, right, bottom = box
        if not (0 <= left + right <= 2 * self.width_px and 0 <= top + bottom <= 2 * self.height_px):
            return
        edges = (
            left * _FULL / self.width_px,
            top * _FULL / self.height_px,
            right * _FULL / self.width_px,
            bottom * _FULL / self.height_px,
        )
        x1, y1, x2, y2 = (min(max(round(edge), 0), _FULL) for edge in edges)
        self.widgets.append(Widget(role, name, value, states, (x1, y1, x2, y2)))
