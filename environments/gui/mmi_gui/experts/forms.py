"""Tasks of filling in: text fields, logins, forms with labels, search with pages of results."""

import re
from collections.abc import Iterator

from mmi_agent.types import Element
from mmi_gui.experts.clicking import submit
from mmi_gui.experts.page import Act, Expert, Page, click, first, scroll, type_text, wait

__all__ = [
    "agreement",
    "autocomplete",
    "enter_text",
    "login",
    "movie_search",
    "new_password",
    "phone_book",
    "radio_and_number",
    "search_engine",
]

_ORDINAL = r"(\d+)(?:st|nd|rd|th)"


def enter_text(page: Page) -> Iterator[Act]:
    """Types what the instruction quotes into the only field, and submits."""
    text = page.quoted[0].strip()
    if "upper case" in page.instruction:
        text = text.upper()
    elif "lower case" in page.instruction:
        text = text.lower()
    yield type_text(page.one("textbox"), text, "the text field")
    yield submit(page)


def login(button: str) -> Expert:
    """Enters username and password, and clicks the button; what pops up over the form is cancelled first."""

    def expert(page: Page) -> Iterator[Act]:
        for name, text in zip(("username", "password"), page.quoted, strict=True):
            while not (page.sees("textbox", name=name) and page.one("textbox", name=name).value):
                if page.sees("button", name="Cancel"):
                    yield click(page.one("button", name="Cancel"), why="A pop-up is in the way.")
                else:
                    yield type_text(page.one("textbox", name=name), text)
        if page.sees("button", name="Cancel"):
            yield click(page.one("button", name="Cancel"), why="A pop-up is in the way.")
        yield submit(page, button)

    return expert


def new_password(page: Page) -> Iterator[Act]:
    """Types a password into both fields, and submits."""
    for name in ("password", "verify"):
        yield type_text(page.one("textbox", name=name), page.quoted[0].strip())
    yield submit(page)


def radio_and_number(page: Page) -> Iterator[Act]:
    """Selects a radio button and types a number into a field, each by its place, and submits."""
    radio, field = page.asked(r"the (\w+) radio button"), page.asked(r"the (\w+) textbox")
    yield click(page.all("radio")[int(radio[0]) - 1], f"the {radio} radio button", verb="Select")
    yield type_text(page.all("textbox")[int(field[0]) - 1], page.quoted[0], f"the {field} text field")
    yield submit(page)


def agreement(page: Page) -> Iterator[Act]:
    """Scrolls an agreement to its end, signs it, and agrees or cancels; or cancels at once."""
    if page.quoted:
        name, button = page.quoted
        while "disabled" in page.one("textbox", name="Name").states:
            text = page.one("textbox", name="text-area")
            yield scroll("down", "Scroll the text down to the bottom.", mark=text.mark, amount=3000)
        yield type_text(page.one("textbox", name="Name"), name)
        yield submit(page, button)
    else:
        yield submit(page, "Cancel")


def movie_search(page: Page) -> Iterator[Act]:
    """Fills in genre, director and year, whatever the fields are called and however they lie, and searches."""
    told = re.search(r"Search for (.*) movies directed by (.*) from year (\d+)", page.instruction)
    assert told
    for words, text in zip((("Genre",), ("Director",), ("Year", "Date")), told.groups(), strict=True):
        label = next(e for e in page.elements if any(word in e.name for word in words) and e.role == "text")
        yield type_text(_labelled(page, label), text, f'the text field "{label.name.rstrip(":")}"')
    names = ("Submit", "Search", "Go!")
    yield submit(page, next(e.name for e in reversed(page.elements) if e.name in names))


def _labelled(page: Page, label: Element) -> Element:
    """The field that belongs to a label: on its line, or right below or above it."""
    _, top, _, bottom = label.box
    fields = page.all("textbox")
    return min(fields, key=lambda field: min(abs(field.center[1] - label.center[1]), _gap(field, top, bottom)))


def _gap(field: Element, top: int, bottom: int) -> int:
    return min(abs(field.box[1] - bottom), abs(field.box[3] - top))


def search_engine(page: Page) -> Iterator[Act]:
    """Searches, turns to the page of the result that the instruction counts off, and clicks it."""
    word, place = page.quoted[0].strip(), int(page.asked(_ORDINAL))
    yield type_text(page.one("textbox"), word, "the text field")
    yield submit(page, "Search")
    number, row = divmod(place - 1, 3)
    if number:
        yield click(
            page.one("link", name=str(number + 1)),
            why=f"Each page has 3 results, so result {place} is on page {number + 1}.",
        )
    results = [e for e in page.all("link") if e.name not in ("1", "2", "3", "<", ">")]
    yield click(results[row], f"result {place}")


def phone_book(page: Page) -> Iterator[Act]:
    """Turns pages until the person is there, and clicks what the instruction asks for."""
    name = page.asked("Find (.*) in the contact book")
    label = page.asked(r"click on their (\w+)").capitalize()
    for _ in range(5):
        if page.sees("heading", name=name):
            break
        yield click(page.one("link", name=">"), why=f'This is not "{name}".')
    yield click(page.after(page.one("text", name=f"{label}:"), "link"))


def autocomplete(page: Page) -> Iterator[Act]:
    """Types the beginning, chooses the entry that fits from the list that opens, and submits."""
    start, end = [*(text.strip() for text in page.quoted), ""][:2]
    yield type_text(page.one("textbox"), start, "the text field")
    if not page.sees("listitem"):
        yield wait("Wait for the list to open.")
    entry = first((e for e in page.all("listitem") if e.name.endswith(end)), f"entry that ends with {end!r}")
    yield click(entry, f'"{entry.name}" in the list', verb="Choose")
    yield submit(page)
