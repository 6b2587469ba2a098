"""How calls and elements are written for whoever reads them as text: an element by its label, as in "button Ok [3]".

A small model copies a name well and looks up a number badly. So where a tool wants the mark of an element, the
element's whole label is written; its mark stands at the end.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from mmi_agent.tool import fitting_marks
from mmi_agent.types import Element, Observation, ToolCall

__all__ = ["call_text", "element_label", "refers_to_element"]

_MAX_NAME = 120  # characters


def element_label(element: Element) -> str:
    """What an element is called: its role, its name in one line, its mark."""
    name = " ".join(element.name.split())
    if len(name) > _MAX_NAME:
        name = f"{name[:_MAX_NAME]}…"
    return " ".join(filter(None, (element.role, name, f"[{element.mark}]")))


def call_text(call: ToolCall, fields: Mapping[str, Any], observation: Observation) -> str:
    """A call in a line of JSON, with labels in place of marks.

    Args:
        call: The call.
        fields: The JSON schemas of its tool's arguments, by name.
        observation: What the marks are about.
    """

    def written(name: str, value: JsonValue) -> JsonValue:
        refers = refers_to_element(fields.get(name))
        element = observation.element(value) if refers and isinstance(value, int) else None
        return element_label(element) if element else value

    arguments = {name: written(name, value) for name, value in call.arguments.items()}
    return json.dumps({"tool": call.name, "arguments": arguments}, ensure_ascii=False, separators=(",", ":"))


def refers_to_element(field: Mapping[str, Any] | None) -> bool:
    """Whether a field of a tool's arguments holds the mark of an element."""
    return field is not None and fitting_marks(field, ()) is not None
