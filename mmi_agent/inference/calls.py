"""Calls as a model writes them: of the elements on the screen by their labels, and read back into marks."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue

from mmi_agent.calls import element_label, refers_to_element
from mmi_agent.errors import PolicyError
from mmi_agent.inference.grammar import CallSchema
from mmi_agent.tool import Tool, fitting_marks, parameters
from mmi_agent.types import Element, Observation, ToolCall

__all__ = ["call_schemas", "element_line", "fields_of", "parse_labels"]


def element_line(element: Element) -> str:
    """An element in a line of a list: its quoted label, and what it holds."""
    value = f" = {_quoted(element.value)}" if element.value else ""
    states = f" ({', '.join(element.states)})" if element.states else ""
    return f"{_quoted(element_label(element))}{value}{states}"


def call_schemas(tools: Sequence[Tool], observation: Observation) -> list[CallSchema]:
    """What the model may call now: each tool's schema, its element fields narrowed to the labels that there are.

    A tool that needs an element of a kind that is not on the screen is left out.
    """
    labels = {element.mark: element_label(element) for element in observation.elements}
    schemas: list[CallSchema] = []
    for tool in tools:
        schema = parameters(tool)
        required = set(schema.get("required", ()))
        fields = schema.get("properties", {})
        fitting = {name: fitting_marks(field, observation.elements) for name, field in fields.items()}
        if any(marks == [] and name in required for name, marks in fitting.items()):
            continue
        for name, marks in fitting.items():
            if marks is not None:
                fields[name] = {"enum": [*(labels[mark] for mark in marks), *([] if name in required else [None])]}
        schemas.append(CallSchema(tool.name, schema))
    return schemas


def parse_labels(call: ToolCall, tools: Sequence[Tool]) -> ToolCall:
    """The call that a model wrote, with marks in place of labels.

    Raises:
        PolicyError: If something else stands where a label must.
    """
    fields = fields_of(call, tools)
    arguments = {n: _mark(value) if refers_to_element(fields.get(n)) else value for n, value in call.arguments.items()}
    return call.model_copy(update={"arguments": arguments})


def _mark(value: JsonValue) -> JsonValue:
    if value is None:
        return None
    found = re.search(r"\[(\d+)\]$", value) if isinstance(value, str) else None
    if found is None:
        raise PolicyError(f"{value!r} is no label of an element")
    return int(found[1])


def fields_of(call: ToolCall, tools: Sequence[Tool]) -> dict[str, Any]:
    """The JSON schemas of the arguments of a call's tool, by name; none of a tool that there is not."""
    tool = next((tool for tool in tools if tool.name == call.name), None)
    return {} if tool is None else parameters(tool).get("properties", {})


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
