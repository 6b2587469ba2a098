"""Tasks of reading: numbers, tables, paragraphs and cards, from which an answer follows."""

import re
from collections.abc import Callable, Iterator

from mmi_agent.types import Element
from mmi_gui.experts.clicking import submit
from mmi_gui.experts.page import Act, Page, click, press_keys, scroll, type_text

__all__ = [
    "algebra",
    "arithmetic",
    "ascending_numbers",
    "buy_ticket",
    "copy_text",
    "find_word",
    "greatest",
    "grid_point",
    "last_word",
    "letters",
    "odd_or_even",
    "order_food",
    "read_table",
    "scroll_text",
]

_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "x": lambda a, b: a * b,
}


def odd_or_even(page: Page) -> Iterator[Act]:
    """Says of each number whether it is odd or even, and submits."""
    for row, number in enumerate([e.name for e in page.all("text")]):
        kind = "Odd" if int(number) % 2 else "Even"
        yield click(page.all("button", name=kind)[row], why=f"{number} is {kind.lower()}.")
    yield submit(page)


def arithmetic(page: Page) -> Iterator[Act]:
    """Types what comes out, and submits."""
    left, sign, right, _ = page.one("text").name.split()
    result = _OPERATIONS[sign](int(left), int(right))
    yield type_text(page.one("textbox"), str(result), "the text field", why=f"{left} {sign} {right} = {result}.")
    yield submit(page)


def algebra(page: Page) -> Iterator[Act]:
    """Types what x is, and submits."""
    equation = page.all("text")[0].name
    left, sign, right, _, result = equation.split()
    known = int(left if right == "x" else right)
    if sign == "+":
        working, x = f"{result} - {known}", int(result) - known
    elif right == "x":
        working, x = f"{known} - {result}", known - int(result)
    else:
        working, x = f"{result} + {known}", int(result) + known
    yield type_text(page.one("textbox"), str(x), "the text field", why=f"x = {working} = {x}.")
    yield submit(page)


def letters(page: Page) -> Iterator[Act]:
    """Types letters that stand slanted, and submits."""
    text = "".join(e.name for e in page.all("text"))
    yield type_text(page.one("textbox"), text, "the text field", why=f"The letters are {' '.join(text)}.")
    yield submit(page)


def read_table(page: Page) -> Iterator[Act]:
    """Types what stands beside a label in the table: the one that is asked for, or each that a field has."""
    fields = [e.mark for e in page.all("textbox")]
    for place in range(len(fields)):
        field = page.all("textbox")[place]
        asked = re.search("the value of (.*) into", page.instruction)
        label = asked[1] if asked else _text_before(page, field).rstrip(":")
        value = page.after(page.one("text", name=label), "text").name
        what = "the text field" if asked else f'the text field "{label}"'
        yield type_text(field, value, what, why=f'{label} is "{value}".')
    yield submit(page)


def _text_before(page: Page, element: Element) -> str:
    return [e for e in page.all("text") if e.mark < element.mark][-1].name


def find_word(page: Page) -> Iterator[Act]:
    """Counts the words of the paragraph up to the one that is asked for, types it, and submits."""
    place = int(page.asked(r"the (\d+)\w\w word"))
    words = page.one("text").name.split()[:place]
    counted = ", ".join(f"{number} {word}" for number, word in enumerate(words, 1))
    answer = re.sub("[^a-zA-Z]", "", words[-1])
    yield type_text(page.one("textbox"), answer, "the text field", why=f"{counted}.")
    yield submit(page)


def last_word(page: Page) -> Iterator[Act]:
    """Types the last word of a long text, and submits."""
    words = page.one("textbox", name="text-area").value.split()
    answer = re.sub("[^a-zA-Z0-9]", "", words[-1])
    yield type_text(
        page.one("textbox", name="answer-input"), answer, "the text field", why=f'The last word is "{answer}".'
    )
    yield submit(page)


def scroll_text(page: Page) -> Iterator[Act]:
    """Scrolls a text to one end, and submits."""
    end = page.asked("to the (top|bottom)")
    direction = "down" if end == "bottom" else "up"
    field = page.one("textbox")
    yield scroll(direction, f"Scroll the text {direction} to the {end}.", mark=field.mark, amount=3000)
    yield submit(page)


def greatest(page: Page) -> Iterator[Act]:
    """Picks the card of the greatest number, and submits."""
    cards = page.all("generic")
    card = max(cards, key=lambda card: int(card.name))
    yield click(card, f'the card "{card.name}"', why=f"{card.name} is the greatest of {_listed(cards)}.")
    yield submit(page)


def _listed(elements: list[Element]) -> str:
    return ", ".join(element.name for element in elements)


def copy_text(page: Page) -> Iterator[Act]:
    """Copies a text with the keys from one field into another, and submits."""
    source = re.search(r"the (\d)\w\w text area", page.instruction)
    name, what = (f"text-{source[1]}", f'the text area "text-{source[1]}"') if source else ("to-copy", "the text area")
    yield click(page.one("textbox", name=name), what)
    yield press_keys("Control+A Control+C", "Copy all of its text.")
    yield click(page.one("textbox", name="answer-input"), "the text field")
    yield press_keys("Control+V", "Paste the text.")
    yield submit(page)


def grid_point(page: Page) -> Iterator[Act]:
    """Clicks the point of a grid that has the coordinates."""
    x, y = (int(part) for part in page.asked(r"\((.*)\)").split(","))
    points = [e for e in page.all("graphics") if "circle" in e.name]
    columns = sorted(points, key=lambda point: point.center[0])
    column = sorted(columns[5 * (x + 2) : 5 * (x + 3)], key=lambda point: -point.center[1])
    why = f"({x},{y}) is in column {x + 3} from the left and row {3 - y} from the top."
    yield click(column[y + 2], "the point there", why=why)


def ascending_numbers(page: Page) -> Iterator[Act]:
    """Clicks the numbers in order; all but the first are hidden from then on, and clicked where they were."""
    places = {int(e.name.split()[0]): e.center for e in page.all("generic")}
    yield click(page.all("generic")[0], 'the number "1"')
    for number in range(2, 6):
        x, y = places[number]
        box = min(page.all("graphics"), key=lambda e: abs(e.center[0] - x) + abs(e.center[1] - y))
        yield click(box, f'the box where "{number}" was')


def buy_ticket(page: Page) -> Iterator[Act]:
    """Looks at all tickets, and buys the one that is asked for."""
    durations, prices = _tickets(page)
    if len(prices) < 4:
        yield scroll("down", "Scroll down to see all tickets.", mark=page.one("button").mark)
        seen = _tickets(page)
        durations, prices = _joined(durations, seen[0]), _joined(prices, seen[1])
    what = page.asked("with the (.*?)\\.?$").strip(" .").split()[0 if "most" not in page.instruction else 1]
    by_price = "cost" in page.instruction
    offers = prices if by_price else durations
    best = (max if what in ("longest", "expensive") else min)(offers, key=_amount)
    price = prices[offers.index(best)]
    name = f"Book for {price}"
    if not page.sees("button", name=name):
        yield scroll("up", "Scroll up to the ticket.", mark=page.one("button").mark)
    why = f"{best} is the {'most expensive' if what == 'expensive' else what} of {', '.join(offers)}."
    yield click(page.one("button", name=name), why=why)


def _tickets(page: Page) -> tuple[list[str], list[str]]:
    durations = [e.name for e in page.all("text") if re.fullmatch(r"\d+h \d+m", e.name)]
    return durations, [e.name.removeprefix("Book for ") for e in page.all("button")]


def _joined(above: list[str], below: list[str]) -> list[str]:
    """Two views of one list that overlap, as one list."""
    for overlap in range(min(len(above), len(below)), -1, -1):
        if above[len(above) - overlap :] == below[:overlap]:
            return above + below[overlap:]
    raise AssertionError("an overlap of nothing always fits")


def _amount(text: str) -> int:
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    return numbers[0] if len(numbers) == 1 else 60 * numbers[0] + numbers[1]


def order_food(page: Page) -> Iterator[Act]:
    """Orders dishes by name, or several of a dish of one kind, and sends the order."""
    if kind := re.search(r"Order (\d+) items that are (\S+)", page.instruction):
        count = int(kind[1])
        yield from _scrolled(page, lambda: _plus_of_kind(page, kind[2]), f'a dish that is "{kind[2]}"')
        for number in range(1, count + 1):
            dish, plus = _plus_of_kind(page, kind[2]) or _nothing(kind[2])
            yield click(plus, f'"+" of "{dish.name}"', why=f'It is "{kind[2]}", {number} of {count}.')
    else:
        for name in sorted(page.asked("each item: (.*)").split(", "), key=_place(page)):
            yield from _scrolled(page, lambda name=name: _plus_of(page, name.strip()), f'"{name.strip()}"')
            _, plus = _plus_of(page, name.strip()) or _nothing(name)
            yield click(plus, f'"+" of "{name.strip()}"')
    yield from _scrolled(page, lambda: page.sees("button", name="Order!"), 'the button "Order!"')
    yield submit(page, "Order!")


def _nothing(what: str) -> tuple[Element, Element]:
    raise AssertionError(f"{what} was scrolled to")


def _place(page: Page) -> Callable[[str], int]:
    """Where a dish stands in the menu, which is read from top to bottom."""
    menu: list[str] = page.ask("MENU.map(dish => dish.name.trim())")
    return lambda name: menu.index(name.strip())


def _scrolled(page: Page, found: Callable[[], object], what: str) -> Iterator[Act]:
    while not found():
        yield scroll("down", f"Scroll down to find {what}.", mark=page.all("generic")[0].mark)


def _plus_of(page: Page, dish: str) -> tuple[Element, Element] | None:
    """A dish in view and its "+"."""
    return next(((e, p) for e, _, p in _dishes(page) if e.name == dish), None)


def _plus_of_kind(page: Page, kind: str) -> tuple[Element, Element] | None:
    return next(((e, p) for e, kinds, p in _dishes(page) if kind in kinds), None)


def _dishes(page: Page) -> Iterator[tuple[Element, list[str], Element]]:
    """The dishes that are wholly in view: name, kinds and "+"."""
    dish, kinds = None, list[str]()
    for element in page.elements:
        if element.role == "text" and not element.name.isdecimal():
            dish, kinds = element, []
        elif element.role == "image":
            kinds.append(element.name)
        elif element.name == "+" and dish is not None:
            yield dish, kinds, element
