"""Tasks of several stages: an event in a calendar, a flight."""

import re
from collections.abc import Iterator

from mmi_agent.types import Element
from mmi_gui.experts.clicking import submit
from mmi_gui.experts.page import Act, Page, click, drag, first, scroll, type_text, wait
from mmi_gui.experts.picking import pick_date

__all__ = ["book_flight", "create_event"]

_HALF_HOURS = {"30 mins": 1, "0.5 hours": 1, "60 mins": 2, "1 hour": 2, "90 mins": 3, "1.5 hours": 3}


def create_event(page: Page) -> Iterator[Act]:
    """Drags over free half hours of a day, names the event, and creates it."""
    told = re.search(r"Create a (.*) event named .* between (\d+)([AP])M", page.instruction)
    assert told
    count, hour = _HALF_HOURS[told[1]], int(told[2]) % 12 + (12 if told[3] == "P" else 0)
    while (free := _free(page, 2 * hour, count)) is None:
        near = any(e.name == f"hh-{2 * hour}" for e in page.elements)
        yield scroll(
            "down",
            f"Scroll down to {told[2]}{told[3]}M.",
            mark=page.all("generic")[0].mark,
            amount=300 if near else None,
        )
    start, end = free
    why = f"{told[2]}{told[3]}M is hour {hour}, 2 x {hour} = {2 * hour}, and {told[1]} are {count} half hours."
    yield drag(start, end, f'{why} Drag from "{start.name}" to "{end.name}".')
    yield click(page.one("generic", name="New event"))
    yield type_text(page.one("textbox"), page.quoted[0])
    yield submit(page, "Create")


def _free(page: Page, earliest: int, count: int) -> tuple[Element, Element] | None:
    """Half hours in a row within four hours from `earliest` that nothing covers; what is above them is in view too."""
    cells = {int(e.name[3:]): e for e in page.all("generic") if re.fullmatch(r"hh-\d+", e.name)}
    events = [e for e in page.all("text", "generic") if not re.fullmatch(r"hh-\d+|\d+[ap]m", e.name)]
    for start in range(earliest, earliest + 9 - count):
        row = [cells[place] for place in range(start, start + count) if place in cells]
        whole = len(row) == count and all(_is_whole(cell) and not _is_covered(cell, events) for cell in row)
        if whole and start - 3 in cells:
            return row[0], row[-1]
    return None


def _is_whole(cell: Element) -> bool:
    return cell.box[3] - cell.box[1] > 85


def _is_covered(cell: Element, events: list[Element]) -> bool:
    return any(event.box[1] < cell.box[3] and event.box[3] > cell.box[1] for event in events)


def book_flight(page: Page) -> Iterator[Act]:
    """Searches for flights of a day, compares all, and books the one that is asked for."""
    told = re.search(r"the (\w+) one-way flight from: (.*) to: (.*) on (\S+?)\.?$", page.instruction)
    assert told
    kind, cities, date = told[1], (told[2], told[3]), told[4].rstrip(" .")
    for field, city in zip(("From:", "To:"), cities, strict=True):
        name = f"({city})" if re.fullmatch("[A-Z]{3}", city) else city  # the list has the codes in parentheses
        yield type_text(page.one("textbox", name=field), city)
        if not page.sees("listitem"):
            yield wait("Wait for the list to open.")
        while not (entries := [e for e in page.all("listitem") if name in e.name]):
            last = first(reversed(page.all("listitem")), f"airport {name!r}")
            yield scroll("down", f"Scroll the list to find {name}.", mark=last.mark, amount=300)
        yield click(entries[0], f'"{entries[0].name}" in the list', verb="Choose")
    yield from pick_date(page, date)
    yield submit(page, "Search")
    offers: list[str] = []
    for _ in range(12):
        offers += [offer for offer in _offers(page, kind) if offer not in offers]
        if "below" not in page.observation.text:
            break
        yield scroll("down", "Scroll down to see all flights.", mark=page.elements[-1].mark)
    best = min(offers, key=_amount)
    price = best.split()[-1]
    why = f"{_told(best, kind)} is the {kind} of {', '.join(_told(offer, kind) for offer in offers)}."
    while not page.sees("button", name=f"Book flight for {price}"):
        yield scroll("up", "Scroll up to the flight.", mark=page.elements[-1].mark)
    yield click(page.one("button", name=f"Book flight for {price}"), why=why)


def _offers(page: Page, kind: str) -> Iterator[str]:
    """The flights whose price is in view: their duration, where that counts, and price."""
    duration = ""
    for element in page.elements:
        if re.fullmatch(r"\d+h \d+m", element.name):
            duration = element.name
        elif element.role == "button" and element.name.startswith("Book flight for "):
            price = element.name.removeprefix("Book flight for ")
            if kind == "cheapest":
                yield price
            elif duration:
                yield f"{duration} {price}"
            duration = ""


def _told(offer: str, kind: str) -> str:
    return offer if kind == "cheapest" else offer.rpartition(" ")[0]


def _amount(offer: str) -> int:
    numbers = [int(number) for number in re.findall(r"\d+", offer)]
    return numbers[0] if len(numbers) == 1 else 60 * numbers[0] + numbers[1]
