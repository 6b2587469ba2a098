"""Tasks of dates, times, numbers and dropdowns: what is picked rather than typed."""

import re
from collections.abc import Iterator
from datetime import datetime

from mmi_agent.types import Element
from mmi_gui.experts.clicking import submit, tick
from mmi_gui.experts.page import Act, Page, click, press_keys, scroll, type_text, wait
from mmi_gui.tools import MAX_PRESSES

__all__ = [
    "calendar",
    "date_field",
    "dropdown",
    "pick_date",
    "slider",
    "slider_and_checkbox",
    "sliders",
    "spinner",
    "time_field",
]

_ORDINALS = ("1st", "2nd", "3rd")


def date_field(page: Page) -> Iterator[Act]:
    """Types a date into a field that takes the year first."""
    told = page.asked(r"(\d+/\d+/\d+)")
    date = f"{datetime.strptime(told, '%m/%d/%Y'):%Y-%m-%d}"
    yield type_text(page.one("date"), date, "the date field", why=f"{told} is {date}.")
    yield submit(page)


def time_field(page: Page) -> Iterator[Act]:
    """Types a time into a field that counts 24 hours."""
    told = page.asked(r"(\d+:\d+\s[AP]M)")
    time = f"{datetime.strptime(' '.join(told.split()), '%I:%M %p'):%H:%M}"
    yield type_text(page.one("inputtime"), time, "the time field", why=f"{told} is {time}.")
    yield submit(page)


def calendar(page: Page) -> Iterator[Act]:
    """Picks a date in the calendar that opens, and submits."""
    yield from pick_date(page, page.asked(r"(\d+/\d+/\d+)"))
    if not page.sees("button", name="Submit"):
        yield wait("Wait for the calendar to close.")
    yield submit(page)


def pick_date(page: Page, told: str) -> Iterator[Act]:
    """Opens the calendar, turns to the month, and clicks the day."""
    date = datetime.strptime(told, "%m/%d/%Y")
    yield click(page.one("textbox", name="datepicker"), "the date field")
    while (shown := _shown_month(page)) != (date.year, date.month):
        turn = "Prev" if shown > (date.year, date.month) else "Next"
        side = "before" if turn == "Prev" else "after"
        why = f"{date:%B %Y} is {side} {datetime(*shown, 1):%B %Y}."
        yield click(page.one("link", name=turn), why=why)
    yield click(page.one("link", name=str(date.day)), f'the day "{date.day}"')


def _shown_month(page: Page) -> tuple[int, int]:
    for element in page.all("text"):
        if re.fullmatch(r"[A-Z][a-z]+ \d{4}", element.name):
            shown = datetime.strptime(element.name, "%B %Y")
            return shown.year, shown.month
    raise AssertionError("the calendar shows a month")


def _handles(page: Page) -> list[Element]:
    return [element for element in page.elements if "ui-slider-handle" in element.name]


def _slid(page: Page, number: int, wanted: int, what: str) -> Iterator[Act]:
    """Moves a slider with the keys, from its beginning, by the value that is shown behind it.

    From there the presses depend on what is wanted alone; where it begins at 0 they are what is wanted.
    """
    yield click(_handles(page)[number], what)
    yield press_keys("Home", f"Move {what} to its beginning.")
    while (shown := int(page.after(_handles(page)[number], "text").name)) < wanted:
        yield _pressed("ArrowRight", wanted, shown)


def _pressed(key: str, wanted: int, shown: int) -> Act:
    count = min(abs(wanted - shown), MAX_PRESSES)
    often = "once" if count == 1 else f"{count} times"
    return press_keys(key, f"{_difference(wanted, shown)} Press {key} {often}.", times=count)


def _difference(wanted: int, shown: int) -> str:
    return f"{wanted} - {shown} = {wanted - shown}." if shown >= 0 else f"{wanted} - ({shown}) = {wanted - shown}."


def slider(page: Page) -> Iterator[Act]:
    """Moves the only slider to a value, and submits."""
    yield from _slid(page, 0, int(page.asked(r"Select (-?\d+) with")), "the slider")
    yield submit(page)


def sliders(page: Page) -> Iterator[Act]:
    """Moves three sliders, and submits."""
    for number, value in enumerate(page.asked(r"\[(.*)\]").split(",")):
        yield from _slid(page, number, int(value), f"the {_ORDINALS[number]} slider")
    yield submit(page)


def slider_and_checkbox(page: Page) -> Iterator[Act]:
    """Moves a slider, ticks a box, and submits."""
    yield from _slid(page, 0, int(page.asked(r"Select (-?\d+) with")), "the slider")
    place = page.asked(r"click the (\w+) checkbox")
    yield tick(page.all("checkbox")[_ORDINALS.index(place)], f"the {place} checkbox")
    yield submit(page)


def spinner(page: Page) -> Iterator[Act]:
    """Counts a field up or down with the keys, and submits."""
    wanted = int(page.asked(r"Select (-?\d+) with"))
    yield click(page.one("spinbutton"), "the field")
    if wanted:
        yield _pressed("ArrowUp" if wanted > 0 else "ArrowDown", wanted, 0)
    yield submit(page)


def dropdown(page: Page) -> Iterator[Act]:
    """Opens a list, chooses an entry, and clicks a button."""
    wanted, button = page.asked("Choose (.*) from the dropdown"), page.quoted[0]
    yield click(page.one("generic", name="▾"), "the dropdown", verb="Open")
    while not page.sees("listitem", name=wanted):
        yield scroll("down", f'Scroll the list to find "{wanted}".', mark=page.all("listitem")[0].mark, amount=300)
    yield click(page.one("listitem", name=wanted), f'"{wanted}" in the list', verb="Choose")
    yield click(page.one("button", name=button))
