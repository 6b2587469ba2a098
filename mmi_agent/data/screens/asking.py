"""What is asked of a drawn screen, and answered: what is there, what it says, where it is, which one it is.

A point is written everywhere as in the call that clicks on it, `"x":119,"y":298`, so that finding one is learnt once.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

from mmi_agent.calls import call_text
from mmi_agent.data.screens.canvas import Widget
from mmi_agent.data.screens.layouts import MOST_WIDGETS
from mmi_agent.types import Observation, ToolCall

__all__ = ["ASKS", "Question", "ask"]

_MOST_QUESTIONS = 4  # of one screen
_ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th")
_BLIND = Observation()


class Question(NamedTuple):
    """What is asked, and the answer."""

    asked: str
    answer: str


def ask(kind: str, widgets: Sequence[Widget], chance: Random) -> list[Question]:
    """Asks questions of one kind about a screen.

    Args:
        kind: One of `ASKS`.
        widgets: What is on the screen; at least one.
        chance: Decides which questions.

    Returns:
        One to four; where the screen has nothing to ask for of this kind, what is on it.
    """
    return ASKS[kind](widgets, chance) or _describe(widgets, chance)


def _describe(widgets: Sequence[Widget], _: Random) -> list[Question]:
    lines = (f"{_line(widget)} {_point(widget)}" for widget in widgets[:MOST_WIDGETS])
    return [Question("What is on the screen?", "\n".join(lines))]


def _read(widgets: Sequence[Widget], chance: Random) -> list[Question]:
    return [_reading(widgets, place, chance) for place in _some(widgets, chance)]


def _reading(widgets: Sequence[Widget], place: int, chance: Random) -> Question:
    widget = widgets[place]
    if widget.role in ("checkbox", "radio button") and chance.random() < 0.5:
        answer = "yes" if "checked" in widget.states else "no"
        return Question(f"Is the {_reference(widgets, place)} checked?", answer)
    if widget.role in _HOLDERS and chance.random() < 0.6:
        return Question(f"What does the {_reference(widgets, place)} hold?", _quoted(widget.value) or "nothing")
    return Question(f"What is at {_point(widget)}?", _line(widget))


def _locate(widgets: Sequence[Widget], chance: Random) -> list[Question]:
    form = chance.choice(("Click the {}.", "Where is the {}?"))
    asked = [(place, form.format(_reference(widgets, place, chance))) for place in _some(widgets, chance)]
    return [Question(question, _click(widgets[place])) for place, question in asked]


def _which(widgets: Sequence[Widget], chance: Random) -> list[Question]:
    found = list(dict.fromkeys((*_beside(widgets), *_chosen(widgets), *_counted(widgets))))
    return chance.sample(found, k=min(len(found), _MOST_QUESTIONS))


def _beside(widgets: Sequence[Widget]) -> Iterator[Question]:
    """What is next to something, where that is beyond doubt."""
    for place, widget in enumerate(widgets):
        for words, direction in _DIRECTIONS.items():
            steps = [(direction(widget, other), other) for other in widgets if other is not widget]
            nearest = sorted(((step, other) for step, other in steps if step is not None), key=lambda pair: pair[0])
            if nearest and (len(nearest) == 1 or nearest[1][0] > nearest[0][0] + 20):
                yield Question(f"What is {words} the {_reference(widgets, place)}?", _line(nearest[0][1]))


def _chosen(widgets: Sequence[Widget]) -> Iterator[Question]:
    for role, plural, state in _STATES:
        alike = [widget for widget in widgets if widget.role == role]
        if alike:
            chosen = (_quoted(widget.name) for widget in alike if state in widget.states)
            yield Question(f"Which {plural} {state}?", ", ".join(chosen) or "none")


def _counted(widgets: Sequence[Widget]) -> Iterator[Question]:
    for role in dict.fromkeys(widget.role for widget in widgets):
        alike = [widget for widget in widgets if widget.role == role]
        if len(widgets) <= MOST_WIDGETS and len(alike) > 1:
            yield Question(f"How many of these are there: {role}?", str(len(alike)))
        for nth, widget in zip(_ORDINALS, alike, strict=False):
            if len(alike) > 1:
                yield Question(f"Which is the {nth} {role}?", _line(widget))


def _right_of(widget: Widget, other: Widget) -> int | None:
    (_, top, right, bottom), (left, (_, y)) = widget.box, (other.box[0], other.center)
    return left - right if left >= right and top <= y <= bottom else None


def _below(widget: Widget, other: Widget) -> int | None:
    (left, _, right, bottom), (top, other_left, other_right) = widget.box, (other.box[1], other.box[0], other.box[2])
    return top - bottom if top >= bottom and other_left < right and left < other_right else None


_DIRECTIONS: Mapping[str, Callable[[Widget, Widget], int | None]] = {
    "right of": _right_of,
    "left of": lambda widget, other: _right_of(other, widget),
    "below": _below,
    "above": lambda widget, other: _below(other, widget),
}
_HOLDERS = ("text field", "text area", "list", "slider", "row")
_STATES = (
    ("checkbox", "checkboxes are", "checked"),
    ("radio button", "radio button is", "checked"),
    ("tab", "tab is", "selected"),
    ("item", "item is", "selected"),
)

ASKS: Mapping[str, Callable[[Sequence[Widget], Random], list[Question]]] = {
    "describe": _describe,
    "read": _read,
    "locate": _locate,
    "which": _which,
}
"""The kinds of questions, by name."""


def _some(widgets: Sequence[Widget], chance: Random) -> list[int]:
    return chance.sample(range(len(widgets)), k=min(len(widgets), _MOST_QUESTIONS))


def _reference(widgets: Sequence[Widget], place: int, chance: Random | None = None) -> str:
    """Words that mean one widget and no other: by its name, by what it holds, else by counting."""
    widget = widgets[place]
    alike = [each for each in widgets if each.role == widget.role]
    if len(alike) == 1 and not widget.name:
        return widget.role
    if widget.name and sum(each.name == widget.name for each in alike) == 1:
        return _label(widget)
    only_holder = widget.value and sum(each.value == widget.value for each in alike) == 1
    if only_holder and chance and chance.random() < 0.5:
        return f"{widget.role} with {_quoted(widget.value)}"
    nth = next(number for number, each in enumerate(alike) if each is widget)
    return f"{_ORDINALS[nth]} {widget.role}" if nth < len(_ORDINALS) else f"{widget.role} at {_point(widget)}"


def _label(widget: Widget) -> str:
    return f"{widget.role} {_quoted(widget.name)}".rstrip()


def _line(widget: Widget) -> str:
    """A widget in a line: what it is, what it holds, how it is; as prompts list elements, but for the mark."""
    value = f" = {_quoted(widget.value)}" if widget.value else ""
    states = f" ({', '.join(widget.states)})" if widget.states else ""
    return f"{_label(widget)}{value}{states}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else ""


def _click(widget: Widget) -> str:
    x, y = widget.center
    return call_text(ToolCall(name="click_at", arguments={"x": x, "y": y}), {}, _BLIND)


def _point(widget: Widget) -> str:
    x, y = widget.center
    return f'"x":{x},"y":{y}'
