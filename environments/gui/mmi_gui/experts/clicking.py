"""Tasks of clicking: buttons, links, dialogs, tabs, options, check boxes, menus, trees and lists."""

from collections.abc import Iterator

from mmi_agent.types import Element
from mmi_gui.experts.page import Act, Expert, Page, choose, click, press_keys, wait

__all__ = [
    "button_sequence",
    "checkboxes",
    "click_button",
    "click_link",
    "click_tab",
    "collapsible",
    "dialog",
    "dialog_button",
    "find_in_sections",
    "focus",
    "list_choice",
    "menu",
    "menu_item",
    "number_checkboxes",
    "only_button",
    "open_tab",
    "option",
    "scroll_list",
    "similar_words",
    "submit",
    "tick",
    "tree",
    "widget",
]

_ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th")


def submit(page: Page, name: str = "Submit") -> Act:
    """Sends a form."""
    return click(page.one("button", "generic", "tab", name=name), f'the button "{name}"')


def tick(box: Element, what: str = "") -> Act:
    """Ticks a check box."""
    return click(box, what, verb="Tick")


def click_button(pattern: str) -> Expert:
    """Clicks the button that the instruction names in the place of the pattern's group."""

    def expert(page: Page) -> Iterator[Act]:
        yield click(page.one("button", name=page.asked(pattern)))

    return expert


def only_button(page: Page) -> Iterator[Act]:
    """Clicks the button that is there."""
    yield click(page.one("button"))


def button_sequence(page: Page) -> Iterator[Act]:
    """Clicks one button, then another."""
    yield from click_button("Click button (.*?),")(page)
    yield from click_button("then click button (.*?)\\.")(page)


def open_tab(page: Page) -> Iterator[Act]:
    """Clicks the tab that the instruction names."""
    yield click(page.one("tab", name=page.asked("Click on (.*?)\\.$")))


def find_in_sections(page: Page) -> Iterator[Act]:
    """Opens section after section until the word is there that the instruction quotes, and clicks it."""
    wanted = page.quoted[0]
    for section in [tab.name for tab in page.all("tab")]:
        yield click(page.one("tab", name=section), f'the section "{section}"', verb="Expand")
        if "below" in page.observation.text:
            yield wait("Wait for the section to open.")
        if page.sees("generic", name=wanted):
            break
    yield from click_link(page)


def click_link(page: Page) -> Iterator[Act]:
    """Clicks the word that the instruction quotes."""
    word = page.one("generic", "link", name=page.quoted[0])
    yield click(word, f'the link "{word.name}"')


def click_tab(page: Page) -> Iterator[Act]:
    """Opens tab after tab until the word is there that the instruction quotes."""
    wanted = page.quoted[0]
    tabs = page.all("tab")
    for number in range(len(tabs)):
        if number:
            tab = page.all("tab")[number]
            yield click(tab, why=f'The link "{wanted}" is not here.')
        if page.sees("generic", name=wanted):
            break
    yield from click_link(page)


def dialog(page: Page) -> Iterator[Act]:
    """Closes the dialog by its cross."""
    yield click(page.one("button", name="Close"), 'the "x" of the dialog box')


def dialog_button(page: Page) -> Iterator[Act]:
    """Clicks the button of the dialog that the instruction quotes."""
    wanted = page.quoted[0]
    yield from dialog(page) if wanted == "x" else iter([click(page.one("button", name=wanted))])


def option(page: Page) -> Iterator[Act]:
    """Selects a radio button and submits."""
    yield click(page.one("radio", name=page.asked("Select (.*) and click")), verb="Select")
    yield submit(page)


def checkboxes(page: Page) -> Iterator[Act]:
    """Ticks the boxes that the instruction lists, and submits."""
    wanted = page.asked("Select (.*) and click")
    for name in wanted.split(", ") if wanted != "nothing" else ():
        yield tick(page.one("checkbox", name=name))
    yield submit(page)


def similar_words(page: Page) -> Iterator[Act]:
    """Ticks the boxes whose words mean the same as those of the instruction."""
    groups: list[list[str]] = page.ask("SYNONYMS")
    for word in page.asked("similar to (.*) and click").split(", "):
        for name in [box.name for box in page.all("checkbox")]:
            if any(word in group and name in group for group in groups):
                yield click(
                    page.one("checkbox", name=name),
                    why=f'"{name}" is similar to "{word}".' if name != word else "",
                    verb="Tick",
                )
    yield submit(page)


def number_checkboxes(page: Page) -> Iterator[Act]:
    """Ticks the boxes of the digit that the instruction quotes, row by row."""
    digit = int(page.quoted[0])
    pattern: list[list[int]] = page.ask(f"PATTERNS[{digit}]")
    for row, cells in enumerate(pattern):
        for column, wanted in enumerate(cells):
            if wanted:
                box = page.all("checkbox")[4 * row + column]
                yield tick(box, f"the checkbox in row {row + 1}, column {column + 1}")
    yield submit(page)


def collapsible(page: Page) -> Iterator[Act]:
    """Opens the section and submits."""
    yield click(page.one("tab"), f'the section "{page.one("tab").name}"', verb="Expand")
    yield submit(page)


def widget(page: Page) -> Iterator[Act]:
    """Clicks a widget of the kind that the instruction quotes."""
    kind = page.quoted[0]
    roles = {"text": "textbox", "textarea": "textbox"}
    found = page.all(roles.get(kind, kind))
    if kind in roles:
        kinds: list[str] = page.ask(
            "Array.from(document.querySelectorAll('#area input[type=input], #area textarea'), e => e.dataset.type)"
        )
        found = [element for element, shown in zip(found, kinds, strict=True) if shown == kind]
    yield click(found[0])


def focus(page: Page) -> Iterator[Act]:
    """Clicks into the text field that the instruction counts off."""
    fields = page.all("textbox")
    place = next((i for i, ordinal in enumerate(_ORDINALS) if f"{ordinal} input" in page.instruction), None)
    yield click(fields[place or 0], "the text field" if place is None else f"the {_ORDINALS[place]} text field")


def list_choice(page: Page) -> Iterator[Act]:
    """Chooses an option of a closed list."""
    wanted = page.one("option", name=page.asked("Select (.*) from the list"))
    if "selected" not in wanted.states:
        yield click(wanted, f'"{wanted.name}" in the list', verb="Choose")
    yield submit(page)


def scroll_list(page: Page) -> Iterator[Act]:
    """Chooses options of an open list by their names: a click would let go of the option before."""
    for name in page.asked("Select (.*) from the scroll list").split(", "):
        yield choose(page.one("listbox"), name)
    yield submit(page)


def menu(page: Page) -> Iterator[Act]:
    """Follows a path through a menu with the keys: a click on an item with a menu of its own would choose it."""
    path = page.asked("Select (.*)").split(">")
    yield press_keys("Tab", "Move into the menu.")
    for name in path:
        above = _steps_down_to(page, name)
        if above:
            yield press_keys("ArrowDown", f'Move down to the menu item "{name}".', times=above)
        if name == path[-1]:
            yield press_keys("Enter", f'Choose the menu item "{name}".')
        else:
            yield press_keys("ArrowRight", f'Open the menu item "{name}".')


def _steps_down_to(page: Page, name: str) -> int:
    """How far an item lies below the first one of its menu."""
    wanted = page.one("menuitem", name=name)
    column = [e for e in page.all("menuitem") if abs(e.box[0] - wanted.box[0]) < 20]
    return column.index(wanted)


def menu_item(page: Page) -> Iterator[Act]:
    """Opens a menu and clicks the item that the instruction names or shows."""
    wanted = page.quoted[1] if len(page.quoted) > 1 else _pictured(page)
    yield click(page.one("button", name="Menu"))
    if wanted in ("Prev", "Stop", "Play", "Next"):
        yield click(page.one("menuitem", name="Playback"), why=f'"{wanted}" is in "Playback".')
        if not page.sees("menuitem", name=wanted):
            yield wait("Wait for the menu to open.")
    yield click(page.one("menuitem", name=wanted))


def _pictured(page: Page) -> str:
    """What the item of the icon in the instruction is called."""
    return page.ask("Object.keys(PROBLEM_SET).find(name => document.querySelector('#query .' + PROBLEM_SET[name]))")


def tree(page: Page) -> Iterator[Act]:
    """Opens folders from the top until the name is there, and clicks it."""
    wanted = page.quoted[0]
    opened: set[tuple[str, int]] = set()
    while not page.sees(name=wanted):
        folders = [page.elements[i + 1] for i, e in enumerate(page.elements[:-1]) if "expandable-hitarea" in e.name]
        folder = folders[0]
        opened.add((folder.name, folder.mark))
        yield click(folder, f'the folder "{folder.name}"', verb="Open")
    yield click(page.one(name=wanted), f'"{wanted}"')
