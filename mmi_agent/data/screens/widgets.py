"""The things that screens are made of. Each is drawn with its upper left corner at a point, and says where it ends."""

from collections.abc import Callable
from math import cos, pi, sin

from mmi_agent.data.screens.canvas import Canvas
from mmi_agent.data.screens.words import letters, number, phrase, sentence, title, value, word

__all__ = ["ICONS", "button", "checks", "field", "heading", "icon", "link", "links", "text", "text_area"]
__all__ += ["items", "select", "slider", "table", "tabs"]


def button(canvas: Canvas, x: float, y: float, width: float, name: str = "") -> tuple[float, float]:
    """A button; returns its right and its lower edge."""
    chance, font = canvas.chance, canvas.plain
    pad_x, pad_y = chance.randint(6, 40), chance.randint(3, 14)
    pad_x = min(pad_x, max(int((width - 40) / 2), 3))
    name = font.fitting(name or title(chance), width - 2 * pad_x)
    right, bottom = x + font.width(name) + 2 * pad_x, y + font.line_px + 2 * pad_y
    fill, ink, edge = canvas.theme.button
    canvas.plate((x, y, right, bottom), fill, edge)
    canvas.write(x + pad_x, y + pad_y, name, fill=ink)
    canvas.note("button", name, (x, y, right, bottom))
    return right, bottom


def field(canvas: Canvas, x: float, y: float, width: float, name: str = "", *, role: str = "text field") -> float:
    """A field for a line of text: empty, or it holds something; one in five has the focus."""
    chance, font = canvas.chance, canvas.plain
    held = font.fitting(value(chance), width - 16) if chance.random() < 0.55 else ""
    bottom = y + font.line_px + chance.randint(4, 12)
    focused = chance.random() < 0.2
    fill, ink, edge = canvas.theme.field
    canvas.plate((x, y, x + width, bottom), fill, canvas.theme.ink if focused else edge, 4 if focused else 0)
    end = canvas.write(x + 8, (y + bottom - font.line_px) / 2, held, fill=ink)
    if focused and chance.random() < 0.7:
        canvas.draw.line((end + 1, y + 6, end + 1, bottom - 6), ink, 2)
    canvas.note(role, name, (x, y, x + width, bottom), value=held, states=("focused",) if focused else ())
    return bottom


def text_area(canvas: Canvas, x: float, y: float, width: float) -> float:
    """A field for several lines."""
    chance, font = canvas.chance, canvas.plain
    held = sentence(chance, chance.randint(2, 7)) if chance.random() < 0.6 else ""
    lines = font.lines(held, width - 16) if held else []
    bottom = y + font.line_px * max(len(lines) + chance.randint(0, 1), 2) + 10
    fill, ink, edge = canvas.theme.field
    canvas.plate((x, y, x + width, bottom), fill, edge)
    for row, line in enumerate(lines):
        canvas.write(x + 8, y + 5 + row * font.line_px, line, fill=ink)
    for reach in (6, 12):
        canvas.draw.line((x + width - 3, bottom - reach, x + width - reach, bottom - 3), edge, 1)
    canvas.note("text area", "", (x, y, x + width, bottom), value=held)
    return bottom


def checks(canvas: Canvas, x: float, y: float, width: float) -> float:
    """Check boxes or radio buttons with their labels, in one column or two."""
    chance, font = canvas.chance, canvas.plain
    role = chance.choice(("checkbox", "checkbox", "radio button"))
    count, columns = chance.randint(1, 6), 2 if chance.random() < 0.35 else 1
    side, row_px = round(font.size_px * 1.15), font.line_px + chance.randint(4, 16)
    chosen = chance.randrange(count + 1)
    for place in range(count):
        at_x, at_y = x + (place % columns) * width / columns, y + (place // columns) * row_px
        checked = chance.random() < 0.45 if role == "checkbox" else place == chosen
        name = font.fitting(word(chance), width / columns - side - 16)
        box = (at_x, at_y, at_x + side, at_y + side)
        _box(canvas, box, round_=role != "checkbox", checked=checked)
        canvas.write(at_x + side + 8, at_y + (side - font.line_px) / 2, name)
        canvas.note(role, name, box, states=("checked",) if checked else ())
    return y + -(-count // columns) * row_px


def _box(canvas: Canvas, box: tuple[float, float, float, float], *, round_: bool, checked: bool) -> None:
    theme, (x, y, right, _) = canvas.theme, box
    side = right - x
    fill, _, edge = theme.field
    if round_:
        canvas.draw.ellipse(box, fill, theme.accent if checked else edge, 2)
        if checked:
            inner = side * 0.25
            canvas.draw.ellipse((x + inner, y + inner, right - inner, y + side - inner), theme.accent)
        return
    canvas.draw.rounded_rectangle(box, 4, theme.accent if checked else fill, theme.accent if checked else edge, 2)
    if checked:
        tick = [(x + side * 0.2, y + side * 0.5), (x + side * 0.42, y + side * 0.75), (x + side * 0.8, y + side * 0.25)]
        canvas.draw.line(tick, "#ffffff", 3)


def link(canvas: Canvas, x: float, y: float, width: float) -> tuple[float, float]:
    """A link of a word or two; returns its right and its lower edge."""
    font, chance = canvas.plain, canvas.chance
    name = font.fitting(phrase(chance, chance.choice((1, 1, 2))), width)
    end, bottom = canvas.write(x, y, name, fill=canvas.theme.link), y + font.line_px
    canvas.draw.line((x, bottom - 3, end, bottom - 3), canvas.theme.link, 1)
    canvas.note("link", name, (x, y, end, bottom))
    return end, bottom


def links(canvas: Canvas, x: float, y: float, width: float) -> float:
    """A paragraph some words of which are links."""
    chance, font = canvas.chance, canvas.plain
    at_x = x
    for each in sentence(chance, chance.randint(5, 16)).split():
        reach = font.width(each)
        if at_x > x and at_x + reach > x + width:
            at_x, y = x, y + font.line_px
        if chance.random() < 0.3:
            canvas.write(at_x, y, each, fill=canvas.theme.link)
            canvas.draw.line((at_x, y + font.line_px - 3, at_x + reach, y + font.line_px - 3), canvas.theme.link, 1)
            canvas.note("link", each, (at_x, y, at_x + reach, y + font.line_px))
        else:
            canvas.write(at_x, y, each)
        at_x += reach + font.width(" ")
    return y + font.line_px


def text(canvas: Canvas, x: float, y: float, width: float) -> float:
    """A paragraph of plain text, a number, or letters; one in ten very large."""
    chance, font = canvas.chance, canvas.plain
    pick = chance.random()
    said = sentence(chance, chance.randint(2, 9)) if pick < 0.6 else number(chance) if pick < 0.8 else letters(chance)
    lines = font.lines(said, width)
    for row, line in enumerate(lines):
        canvas.write(x, y + row * font.line_px, line)
    bottom = y + len(lines) * font.line_px
    canvas.note("text", said, (x, y, min(x + max(map(font.width, lines)), canvas.width_px), bottom))
    return bottom


def heading(canvas: Canvas, x: float, y: float, width: float) -> float:
    """A title in bold."""
    font = canvas.bold
    said = font.fitting(f"{title(canvas.chance)} {word(canvas.chance)}", width)
    end, bottom = canvas.write(x, y, said, font), y + font.line_px
    canvas.note("heading", said, (x, y, end, bottom))
    return bottom


def tabs(canvas: Canvas, x: float, y: float, width: float) -> float:
    """Tabs side by side, one of them chosen."""
    chance, font, theme = canvas.chance, canvas.plain, canvas.theme
    bottom = y + font.line_px + 12
    count, right = chance.randint(2, 4), x + width
    chosen = chance.randrange(count)
    for place in range(count):
        name = font.fitting(title(chance), right - x - 20)
        end = x + font.width(name) + 20
        if end > right + 1:
            break
        selected = place == chosen
        fill, ink, edge = (theme.ground, theme.ink, theme.accent) if selected else theme.button
        canvas.draw.rectangle((x, y, end, bottom), fill, edge, theme.edge_px)
        canvas.write(x + 10, y + 6, name, fill=ink)
        canvas.note("tab", name, (x, y, end, bottom), states=("selected",) if selected else ())
        x = end + 3
        if right - x < 60:
            break
    canvas.draw.line((x, bottom, right, bottom), theme.faint, 1)
    return bottom


def items(canvas: Canvas, x: float, y: float, width: float) -> float:
    """A list or an open menu, one item of it maybe chosen."""
    chance, font, theme = canvas.chance, canvas.plain, canvas.theme
    count, row_px = chance.randint(2, 5), font.line_px + chance.randint(4, 14)
    chosen = chance.randrange(2 * count)
    width = min(width, chance.randint(120, 300))
    fill, ink, edge = theme.field
    canvas.draw.rectangle((x, y, x + width, y + count * row_px), fill, edge, 1)
    for place in range(count):
        top = y + place * row_px
        name = font.fitting(phrase(chance, chance.choice((1, 1, 2))), width - 20)
        if place == chosen:
            canvas.draw.rectangle((x + 1, top, x + width - 1, top + row_px), theme.accent)
        canvas.write(x + 10, top + (row_px - font.line_px) / 2, name, fill="#ffffff" if place == chosen else ink)
        states = ("selected",) if place == chosen else ()
        canvas.note("item", name, (x, top, x + width, top + row_px), states=states)
    return y + count * row_px


def select(canvas: Canvas, x: float, y: float, width: float) -> float:
    """A list of options that is shut: it shows the chosen one."""
    chance, font = canvas.chance, canvas.plain
    held = font.fitting(phrase(chance, 1), width - 44)
    bottom = y + font.line_px + 8
    fill, ink, edge = canvas.theme.field
    canvas.plate((x, y, x + width, bottom), fill, edge)
    canvas.write(x + 8, y + 4, held, fill=ink)
    middle, arrow = (y + bottom) / 2, x + width - 18
    canvas.draw.line([(arrow - 6, middle - 3), (arrow, middle + 4), (arrow + 6, middle - 3)], ink, 3)
    canvas.note("list", "", (x, y, x + width, bottom), value=held)
    return bottom


def slider(canvas: Canvas, x: float, y: float, width: float) -> float:
    """A slider with its value beside it or below it."""
    chance, font, theme = canvas.chance, canvas.plain, canvas.theme
    low, span = chance.choice((0, 0, 1, -10)), chance.choice((5, 10, 20, 100))
    at = chance.randint(0, span)
    beside = chance.random() < 0.6
    track = width - 70 if beside else width
    handle, middle = 24, y + 16
    canvas.draw.rounded_rectangle((x, middle - 8, x + track, middle + 8), 6, theme.field[0], theme.field[2], 1)
    left = x + (track - handle) * at / span
    canvas.draw.rounded_rectangle((left, y + 2, left + handle, y + 30), 5, theme.button[0], theme.button[2], 2)
    said = str(low + at)
    bottom = y + 32
    if beside:
        canvas.write(x + track + 12, middle - font.line_px / 2, said)
    else:
        canvas.write(x, bottom, said)
        bottom += font.line_px
    canvas.note("slider", "", (x, y + 2, x + track, y + 30), value=said)
    return bottom


def table(canvas: Canvas, x: float, y: float, width: float) -> float:
    """Rows of two: what it is in bold, and how much or who."""
    chance, theme = canvas.chance, canvas.theme
    row_px = canvas.plain.line_px + chance.randint(4, 10)
    rows = chance.randint(2, 4)
    middle = x + width * chance.uniform(0.4, 0.55)
    for row in range(rows):
        top = y + row * row_px
        name = canvas.bold.fitting(title(chance), middle - x - 14)
        held = canvas.plain.fitting(value(chance), x + width - middle - 14)
        canvas.draw.line((x, top, x + width, top), theme.faint, 1)
        canvas.write(x + 6, top + 3, name, canvas.bold)
        canvas.write(middle + 6, top + 3, held)
        canvas.note("row", name, (x, top, x + width, top + row_px), value=held)
    return y + rows * row_px


Icon = Callable[[Canvas, float, float, float, str], None]


def icon(canvas: Canvas, x: float, y: float, side: float, name: str, fill: str = "") -> None:
    """A small picture that can be clicked; its colour is left to chance where it is not said."""
    fill = fill or canvas.chance.choice((canvas.theme.ink, canvas.theme.faint, canvas.theme.accent, "#d9242b"))
    ICONS[name](canvas, x, y, side, fill)
    canvas.note("icon", name, (x, y, x + side, y + side))


def _star(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    half = side / 2
    reach = [(half if k % 2 == 0 else half * 0.42, pi * (k / 5 - 0.5)) for k in range(10)]
    canvas.draw.polygon([(x + half + r * cos(a), y + half + r * sin(a)) for r, a in reach], fill)


def _heart(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    half = side / 2
    canvas.draw.ellipse((x, y + side * 0.08, x + half, y + side * 0.58), fill)
    canvas.draw.ellipse((x + half, y + side * 0.08, x + side, y + side * 0.58), fill)
    low = y + side * 0.45
    canvas.draw.polygon([(x + 1, low), (x + side - 1, low), (x + half, y + side)], fill)


def _trash(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.rectangle((x + side * 0.2, y + side * 0.3, x + side * 0.8, y + side), fill)
    canvas.draw.rectangle((x + side * 0.1, y + side * 0.12, x + side * 0.9, y + side * 0.22), fill)
    canvas.draw.rectangle((x + side * 0.38, y, x + side * 0.62, y + side * 0.12), fill)


def _plus(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    _minus(canvas, x, y, side, fill)
    canvas.draw.rectangle((x + side * 0.42, y, x + side * 0.58, y + side), fill)


def _minus(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.rectangle((x, y + side * 0.42, x + side, y + side * 0.58), fill)


def _close(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.line((x + 2, y + 2, x + side - 2, y + side - 2), fill, 4)
    canvas.draw.line((x + 2, y + side - 2, x + side - 2, y + 2), fill, 4)


def _menu(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    for share in (0.1, 0.42, 0.74):
        canvas.draw.rectangle((x, y + side * share, x + side, y + side * (share + 0.15)), fill)


def _search(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.ellipse((x, y, x + side * 0.7, y + side * 0.7), None, fill, 3)
    canvas.draw.line((x + side * 0.6, y + side * 0.6, x + side, y + side), fill, 4)


def _back(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.line([(x + side * 0.7, y), (x + side * 0.25, y + side / 2), (x + side * 0.7, y + side)], fill, 5)


def _send(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.polygon([(x, y), (x + side, y + side / 2), (x, y + side), (x + side * 0.25, y + side / 2)], fill)


def _more(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    for share in (0, 0.38, 0.76):
        canvas.draw.ellipse((x + side * share, y + side * 0.4, x + side * (share + 0.22), y + side * 0.62), fill)


def _reply(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.polygon([(x, y + side * 0.4), (x + side * 0.45, y), (x + side * 0.45, y + side * 0.8)], fill)
    canvas.draw.line(
        [(x + side * 0.4, y + side * 0.4), (x + side * 0.9, y + side * 0.5), (x + side, y + side)], fill, 4
    )


def _mail(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.rectangle((x, y + side * 0.15, x + side, y + side * 0.85), None, fill, 2)
    canvas.draw.line([(x, y + side * 0.2), (x + side / 2, y + side * 0.55), (x + side, y + side * 0.2)], fill, 2)


def _folder(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.rectangle((x, y + side * 0.25, x + side, y + side * 0.9), fill)
    canvas.draw.rectangle((x, y + side * 0.1, x + side * 0.45, y + side * 0.3), fill)


def _circle(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.ellipse((x, y, x + side, y + side), fill)


def _square(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.rectangle((x, y, x + side, y + side), fill)


def _triangle(canvas: Canvas, x: float, y: float, side: float, fill: str) -> None:
    canvas.draw.polygon([(x + side / 2, y), (x + side, y + side), (x, y + side)], fill)


ICONS: dict[str, Icon] = {
    "star": _star,
    "heart": _heart,
    "trash": _trash,
    "plus": _plus,
    "minus": _minus,
    "close": _close,
    "menu": _menu,
    "search": _search,
    "back": _back,
    "send": _send,
    "more": _more,
    "reply": _reply,
    "mail": _mail,
    "folder": _folder,
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
}
"""What icons there are, by name."""
