"""How the things of a screen are put together: below each other, in a grid, in a dialog box, under a band."""

from collections.abc import Callable, Sequence
from random import Random

from mmi_agent.data.screens.canvas import CHROMIUM, Canvas, choose_theme
from mmi_agent.data.screens.lettering import TypeFace
from mmi_agent.data.screens.widgets import (
    ICONS,
    button,
    checks,
    field,
    heading,
    icon,
    items,
    link,
    links,
    select,
    slider,
    table,
    tabs,
    text,
    text_area,
)
from mmi_agent.data.screens.words import phrase, sentence, title, word

__all__ = ["MOST_WIDGETS", "draw_screen"]

MOST_WIDGETS = 12
"""On a screen with as many, nothing more is begun."""

_SIZES = ((320, 420),) * 7 + ((320, 240), (400, 300), (480, 480), (640, 480), (360, 640))
_USUAL_AREA = 320 * 420
_BAND = "#ffff00"
_BAND_SHARE = 100 / 420


def draw_screen(chance: Random, faces: Sequence[TypeFace]) -> Canvas:
    """Draws a screen.

    Args:
        chance: Decides all of it.
        faces: The fonts that there are; half of the screens are set in the first.
    """
    width_px, height_px = chance.choice(_SIZES)
    face = faces[0] if chance.random() < 0.5 else chance.choice(faces)
    scale = max((width_px * height_px / _USUAL_AREA) ** 0.5, 0.85)
    text_px = round(scale * chance.choice((18, 20, 20, 22, 22, 24, 26)))
    banded = (width_px, height_px) == _SIZES[0] and chance.random() < 0.7
    theme = CHROMIUM if banded and chance.random() < 0.7 else choose_theme(chance)
    canvas = Canvas((width_px, height_px), theme, face, text_px, chance)
    top = _band(canvas, faces[0]) if banded else 0.0
    layout = chance.choice((_flow, _flow, _flow, _flow, _grid, _rows, _dialog))
    layout(canvas, top)
    return canvas


def _band(canvas: Canvas, face: TypeFace) -> float:
    """What is asked, in a yellow band at the top, some words of it in bold; it is no widget."""
    chance, bottom = canvas.chance, canvas.height_px * _BAND_SHARE
    usual = Canvas((1, 1), CHROMIUM, face, 20, chance)
    canvas.draw.rectangle((0, 0, canvas.width_px, bottom - 1), _BAND)
    x, y = 6.0, 4.0
    for each in _asked(chance).split():
        font = usual.bold if chance.random() < 0.2 else usual.plain
        if x > 6 and x + font.width(each) > canvas.width_px - 6:
            x, y = 6.0, y + font.line_px
        if y + font.line_px > bottom:
            break
        x = canvas.write(x, y, each, font, "#000000") + font.width(" ")
    return bottom


def _asked(chance: Random) -> str:
    forms = ("Click on {0}", 'Select "{0}" and click {1}.', 'Enter "{0}" and press {1}.', "Find {0} and {1}: {2}")
    return chance.choice(forms).format(phrase(chance, chance.randint(1, 3)), title(chance), sentence(chance, 5))


_Maker = Callable[[Canvas, float, float, float], float]


def _buttons(canvas: Canvas, x: float, y: float, width: float) -> float:
    right, bottom, end = x, y, x + width
    for _ in range(canvas.chance.choice((1, 1, 1, 2, 2, 3))):
        right, low = button(canvas, right, y, end - right)
        bottom, right = max(bottom, low), right + canvas.chance.randint(6, 20)
        if end - right < 100:
            break
    return bottom


def _labelled(canvas: Canvas, x: float, y: float, width: float) -> float:
    """A field with its name above it or left of it."""
    chance = canvas.chance
    font = chance.choice((canvas.plain, canvas.bold))
    if chance.random() < 0.5:
        name = font.fitting(title(chance), width)
        canvas.write(x, y, name, font)
        bare = name.rstrip(":")
        return field(canvas, x, y + font.line_px + 2, width * chance.uniform(0.6, 1), bare)
    name = font.fitting(title(chance), width * 0.45)
    end = canvas.write(x, y + 4, f"{name}:", font)
    return field(canvas, end + 8, y, x + width - end - 8, name)


def _bare_field(canvas: Canvas, x: float, y: float, width: float) -> float:
    return field(canvas, x, y, width * canvas.chance.uniform(0.5, 1))


def _narrow_select(canvas: Canvas, x: float, y: float, width: float) -> float:
    return select(canvas, x, y, width * canvas.chance.uniform(0.5, 1))


def _icons(canvas: Canvas, x: float, y: float, width: float) -> float:
    chance = canvas.chance
    side, gap = chance.randint(18, 34), chance.randint(16, 60)
    count = min(chance.randint(2, 5), int((width + gap) // (side + gap)))
    for place, name in enumerate(chance.sample(sorted(ICONS), k=max(count, 1))):
        icon(canvas, x + place * (side + gap), y, side, name)
    return y + side


def _link(canvas: Canvas, x: float, y: float, width: float) -> float:
    return link(canvas, x, y, width)[1]


_MAKERS: tuple[tuple[_Maker, int], ...] = (
    (_buttons, 8),
    (_labelled, 5),
    (_bare_field, 3),
    (text_area, 2),
    (checks, 6),
    (links, 4),
    (_link, 2),
    (text, 6),
    (heading, 2),
    (tabs, 3),
    (items, 3),
    (_narrow_select, 3),
    (slider, 2),
    (table, 2),
    (_icons, 3),
)
_CHOICES = tuple(maker for maker, weight in _MAKERS for _ in range(weight))


def _flow(canvas: Canvas, top: float) -> None:
    """Things below each other."""
    chance = canvas.chance
    left = chance.randint(2, canvas.width_px // 6)
    width, gap = canvas.width_px - left - chance.randint(4, 20), chance.randint(3, 22)
    y = top + chance.randint(2, 30)
    rows = chance.choice((1, 2, 3, 4, 5, 6, 9, 9))
    while rows and y < canvas.height_px - 30 and len(canvas.widgets) < MOST_WIDGETS:
        y = chance.choice(_CHOICES)(canvas, left, y, width) + gap
        rows -= 1


def _grid(canvas: Canvas, top: float) -> None:
    """Things each in a cell of its own, not all cells taken."""
    chance = canvas.chance
    columns, rows = chance.randint(2, 3), chance.randint(2, 5)
    cell_px = canvas.width_px / columns
    row_px = max((canvas.height_px - top) / rows, canvas.plain.line_px + 34)
    filled = chance.uniform(0.3, 1)
    kinds = chance.choice((("button", "icon", "link"), ("button",), ("icon",), ("button", "text", "field", "icon")))
    for cell in range(rows * columns):
        x, y = (cell % columns) * cell_px + 3, top + (cell // columns) * row_px + 3
        if chance.random() < filled and y < canvas.height_px - 40 and len(canvas.widgets) < MOST_WIDGETS:
            _in_cell(canvas, chance.choice(kinds), x, y, cell_px - 8, row_px)


def _in_cell(canvas: Canvas, kind: str, x: float, y: float, width: float, height: float) -> None:
    chance = canvas.chance
    y += chance.uniform(0, max(height - canvas.plain.line_px - 34, 0))
    if kind == "button":
        button(canvas, x, y, width)
    elif kind == "link":
        link(canvas, x, y, width)
    elif kind == "icon":
        side = chance.randint(18, 44)
        icon(canvas, x + chance.uniform(0, width - side), y, side, chance.choice(sorted(ICONS)))
    elif kind == "field":
        field(canvas, x, y, width)
    else:
        name = canvas.plain.fitting(word(chance), width)
        end = canvas.write(x, y, name)
        canvas.note("text", name, (x, y, end, y + canvas.plain.line_px))


def _rows(canvas: Canvas, top: float) -> None:
    """Rows alike, as of mails or posts: a name in bold, a line below it, icons at the right."""
    chance, theme = canvas.chance, canvas.theme
    right = canvas.width_px - 8
    shown = chance.sample(sorted(ICONS), k=chance.randint(0, 3))
    side = chance.randint(18, 26)
    row_px = canvas.bold.line_px + canvas.small.line_px + chance.randint(8, 30)
    y = top + 4
    while y + row_px <= canvas.height_px and len(canvas.widgets) < MOST_WIDGETS:
        room = right - 8 - len(shown) * (side + 12)
        name = canvas.bold.fitting(word(chance), room)
        canvas.note("text", name, (8, y, canvas.write(8, y, name, canvas.bold), y + canvas.bold.line_px))
        below, low = canvas.small.fitting(sentence(chance, 3), room), y + canvas.bold.line_px
        end = canvas.write(8, low, below, canvas.small)
        canvas.note("text", below, (8, low, end, low + canvas.small.line_px))
        for place, each in enumerate(shown):
            icon(canvas, right - (len(shown) - place) * (side + 12) + 12, y + 6, side, each)
        y += row_px
        canvas.draw.line((0, y - 4, canvas.width_px, y - 4), theme.faint, 1)


def _dialog(canvas: Canvas, top: float) -> None:
    """A box with a title, a cross, something to read or to fill in, and buttons."""
    chance, theme = canvas.chance, canvas.theme
    left = chance.randint(4, canvas.width_px // 8)
    right = canvas.width_px - chance.randint(4, canvas.width_px // 8)
    y = top + chance.uniform(4, max((canvas.height_px - top) / 3, 5))
    bar = y + canvas.bold.line_px + 14
    canvas.draw.rectangle((left, y, right, bar), chance.choice((theme.button[0], theme.accent)), theme.faint, 1)
    name = canvas.bold.fitting(f"{title(chance)} {word(chance)}", right - left - 60)
    end = canvas.write(left + 10, y + 7, name, canvas.bold, theme.button[1])
    canvas.note("heading", name, (left + 10, y + 7, end, bar - 7))
    icon(canvas, right - 34, y + (bar - y - 22) / 2, 22, "close", theme.button[1])
    low = bar + 10
    for maker in chance.choices((text, _labelled, _bare_field, checks, links), k=chance.randint(1, 2)):
        if low < canvas.height_px - 80:
            low = maker(canvas, left + 10, low, right - left - 20) + 10
    if chance.random() < 0.7:
        low = _buttons(canvas, left + 10, low, right - left - 20) + 10
    canvas.draw.line([(left, bar), (left, low), (right, low), (right, bar)], theme.faint, 2)
