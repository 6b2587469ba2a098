"""What an expert works with: the page as the pupil sees it, a look behind it, and acts with their thoughts."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from pydantic import JsonValue

from mmi_agent.errors import PolicyError
from mmi_agent.types import Element, Observation, ToolCall

__all__ = [
    "Act",
    "Expert",
    "Page",
    "choose",
    "click",
    "drag",
    "first",
    "phrase",
    "press_keys",
    "scroll",
    "type_text",
    "wait",
]

_ROLE_WORDS = {
    "textbox": "text field",
    "searchbox": "text field",
    "radio": "radio button",
    "combobox": "list",
    "listbox": "list",
    "menuitem": "menu item",
    "listitem": "item",
    "spinbutton": "field",
    "date": "date field",
    "inputtime": "time field",
    "image": "icon",
    "generic": "",
    "graphics": "",
    "text": "",
}


class Act(NamedTuple):
    """One step: the thought in a few words, and the call."""

    thought: str
    call: ToolCall


class Page:
    """The page of one episode; the latest observation is put in before each act.

    Args:
        ask: Evaluates a JavaScript expression in the page. An expert asks only for what it cannot see and a person
            could know, such as which words mean the same.
    """

    def __init__(self, ask: Callable[[str], Any]) -> None:
        self.ask = ask
        self.instruction = ""
        self.observation = Observation()

    @property
    def elements(self) -> tuple[Element, ...]:
        """What is marked now, without the instruction's own text."""
        return self.observation.elements[1:]

    @property
    def quoted(self) -> list[str]:
        """What stands in double quotes in the instruction."""
        return re.findall(r'"([^"]*)"', self.instruction)

    def asked(self, pattern: str) -> str:
        """What the instruction says in the place of the pattern's group.

        Raises:
            PolicyError: If the instruction is of another form.
        """
        if match := re.search(pattern, self.instruction):
            return match[1].strip()
        raise PolicyError(f"no {pattern!r} in the instruction {self.instruction!r}")

    def all(self, *roles: str, name: str | None = None) -> list[Element]:
        """The elements of these roles (of any, without) and of that name, in the order of their marks."""
        return [e for e in self.elements if (not roles or e.role in roles) and (name is None or _same(e.name, name))]

    def sees(self, *roles: str, name: str | None = None) -> bool:
        """Whether there is such an element."""
        return bool(self.all(*roles, name=name))

    def one(self, *roles: str, name: str | None = None) -> Element:
        """The first such element.

        Raises:
            PolicyError: If there is none.
        """
        return first(self.all(*roles, name=name), f"{'/'.join(roles) or 'element'} {name!r}")

    def after(self, anchor: Element, *roles: str, name: str | None = None) -> Element:
        """The first such element that follows another one.

        Raises:
            PolicyError: If none does.
        """
        following = (e for e in self.all(*roles, name=name) if e.mark > anchor.mark)
        return first(following, f"{'/'.join(roles) or 'element'} {name!r} after {anchor.name!r}")


Expert = Callable[[Page], Iterator[Act]]
"""Solves one task: yields one act after the other, and finds the new observation in the page after each."""


def _same(name: str, wanted: str) -> bool:
    return name.strip() == wanted.strip()


def first(elements: Iterable[Element], what: str) -> Element:
    """The first of some elements.

    Raises:
        PolicyError: If there are none; says of what.
    """
    if (found := next(iter(elements), None)) is not None:
        return found
    raise PolicyError(f"the expert sees no {what}")


def phrase(element: Element) -> str:
    """How a person calls an element: the button "Ok"."""
    word = _ROLE_WORDS.get(element.role, element.role)
    return " ".join(filter(None, ("the" if word else "", word, f'"{element.name}"' if element.name else "")))


def _act(thought: str, tool: str, **arguments: JsonValue) -> Act:
    return Act(thought, ToolCall(name=tool, arguments=arguments))


def click(element: Element, what: str = "", *, why: str = "", verb: str = "Click") -> Act:
    """Clicks an element.

    Args:
        element: What is clicked.
        what: How it is called; as `phrase` does, without.
        why: What is thought before, as in "7 is odd."
        verb: What the click does.
    """
    return _act(_thought(why, f"{verb} {what or phrase(element)}."), "click", mark=element.mark)


def type_text(element: Element, text: str, what: str = "", *, why: str = "") -> Act:
    """Types a text into a field; arguments as those of `click`."""
    thought = _thought(why, f'Type "{text}" into {what or phrase(element)}.')
    return _act(thought, "type_text", mark=element.mark, text=text)


def choose(field: Element, text: str) -> Act:
    """Chooses an option of a list by its name."""
    return _act(f'Choose "{text}" in the list.', "type_text", mark=field.mark, text=text)


def press_keys(keys: str, thought: str, *, times: int = 1) -> Act:
    """Presses keys, as often as is said."""
    extra = {"times": times} if times > 1 else {}
    return _act(thought, "press_keys", keys=keys, **extra)


def scroll(direction: str, thought: str, *, mark: int | None = None, amount: int | None = None) -> Act:
    """Scrolls the page, or what an element lies in."""
    extra = {name: value for name, value in (("amount", amount), ("mark", mark)) if value is not None}
    return _act(thought, "scroll", direction=direction, **extra)


def drag(start: Element, end: Element, thought: str) -> Act:
    """Drags one element onto another."""
    return _act(thought, "drag", from_mark=start.mark, to_mark=end.mark)


def wait(thought: str) -> Act:
    """Lets half a second pass."""
    return _act(thought, "wait", seconds=0.5)


def _thought(why: str, what: str) -> str:
    return f"{why} {what}" if why else what
