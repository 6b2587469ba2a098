"""Runs in which elements were named, told as if they had been pointed at: for who learns to see.

What a call did to an element is told as the call that does the same to the middle of its box, with what came of it in
the words of that call. A text that was typed into a field takes two calls, a click and the typing: between the two the
screen is told as it was before, since nobody saw it. What has no such call is told by none: to choose an option of a
list that is shut, to set a date. Scrolling where an element lies is told as scrolling where the middle of the screen
lies.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from pydantic import JsonValue

from mmi_agent.calls import refers_to_element
from mmi_agent.errors import DataError
from mmi_agent.inference.calls import fields_of
from mmi_agent.policy import PastStep
from mmi_agent.tool import Tool
from mmi_agent.types import Element, ToolCall

__all__ = ["by_points"]

_WRITTEN_INTO = ("textbox", "searchbox", "spinbutton")
_WHOLE_LINE = 3  # clicks that select all that a field of one line holds
_SHOWN = 80  # characters of a typed text that its outcome repeats


def by_points(steps: Sequence[PastStep], tools: Sequence[Tool]) -> Iterator[PastStep]:
    """Tells steps by points.

    Args:
        steps: What was done; a step that needs no element stays as it is.
        tools: What could be called.

    Raises:
        DataError: If a step was done to an element, and no call that could be made does the same by a point.
    """
    names = {tool.name for tool in tools}
    for step in steps:
        if step.call is None or not _marks(step.call, tools):
            yield step
            continue
        for told in _told(step, step.call):
            if told.call and told.call.name not in names:
                raise DataError(f"{step.call.name!r} cannot be told by points: there is no tool {told.call.name!r}")
            yield told


def _marks(call: ToolCall, tools: Sequence[Tool]) -> list[str]:
    """The arguments that name an element."""
    fields = fields_of(call, tools)
    return [name for name, value in call.arguments.items() if value is not None and refers_to_element(fields.get(name))]


def _told(step: PastStep, call: ToolCall) -> list[PastStep]:
    teller = _TELLERS.get(call.name)
    if teller is None:
        raise DataError(f"{call.name!r} cannot be told by points: no call is known that does the same")
    return teller(step, call)


def _click(step: PastStep, call: ToolCall) -> list[PastStep]:
    return [_click_on(step, _element(step, call, "mark"), 1)]


def _double_click(step: PastStep, call: ToolCall) -> list[PastStep]:
    return [_click_on(step, _element(step, call, "mark"), 2)]


def _click_on(step: PastStep, element: Element, count: int) -> PastStep:
    if element.role == "option":
        raise DataError("the choice of an option cannot be told by points: a list that is shut does not show it")
    x, y = element.center
    arguments: dict[str, JsonValue] = {"x": x, "y": y, **({"count": count} if count > 1 else {})}
    return _instead(step, "click_at", arguments, f"{'clicked' if count == 1 else 'double-clicked'} {_point(element)}")


def _type_text(step: PastStep, call: ToolCall) -> list[PastStep]:
    element, text = _element(step, call, "mark"), str(call.arguments.get("text", ""))
    if element.role not in _WRITTEN_INTO:
        raise DataError(
            f"what was typed into a field of the kind {element.role!r} cannot be told by points: keys do not go into it"
        )
    if not text or "\n" in element.value or step.outcome.status != "done":
        raise DataError("a field that was emptied, held several lines or refused a text cannot be told by points")
    enter = call.arguments.get("press_enter") is True
    typed = f"typed {text[:_SHOWN]!r} where the focus is{' and pressed Enter' if enter else ''}"
    typing = _instead(step, "type_focused", {"text": text, **({"press_enter": True} if enter else {})}, typed)
    if "focused" in element.states and not element.value:
        return [typing]
    return [_click_on(step, element, _WHOLE_LINE if element.value else 1), typing]


def _drag(step: PastStep, call: ToolCall) -> list[PastStep]:
    here, there = _element(step, call, "from_mark"), _element(step, call, "to_mark")
    (from_x, from_y), (to_x, to_y) = here.center, there.center
    arguments: dict[str, JsonValue] = {"from_x": from_x, "from_y": from_y, "to_x": to_x, "to_y": to_y}
    return [_instead(step, "drag_at", arguments, f"dragged {_point(here)} to {_point(there)}")]


def _scroll(step: PastStep, call: ToolCall) -> list[PastStep]:
    arguments = {name: value for name, value in call.arguments.items() if name != "mark"}
    return [replace(step, call=call.model_copy(update={"arguments": arguments}))]


_TELLERS: Mapping[str, Callable[[PastStep, ToolCall], list[PastStep]]] = {
    "click": _click,
    "double_click": _double_click,
    "type_text": _type_text,
    "drag": _drag,
    "scroll": _scroll,
}


def _element(step: PastStep, call: ToolCall, name: str) -> Element:
    mark = call.arguments.get(name)
    element = step.observation.element(mark) if isinstance(mark, int) else None
    if element is None:
        raise DataError(f"{call.name!r} cannot be told by points: there was no element {mark!r}")
    return element


def _instead(step: PastStep, name: str, arguments: dict[str, JsonValue], told: str) -> PastStep:
    """The step with another call; what came of it is in that call's words where it was done."""
    outcome = step.outcome.model_copy(update={"text": told}) if step.outcome.status == "done" else step.outcome
    return replace(step, call=ToolCall(name=name, arguments=arguments), outcome=outcome)


def _point(element: Element) -> str:
    return f"the point {element.center}"
