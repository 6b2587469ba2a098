"""Drafts candidate calls from what is on the screen and what was asked for, so that a model only has to choose.

Knows tools by their schemas alone: a field that refers to an element is filled with each element it fits, a field that
has few values with each of them, a field of free text with what the instruction quotes or names. A tool that needs
anything else is not drafted.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, cast

from pydantic import JsonValue

from mmi_agent.tool import FunctionTool, Tool, fitting_marks, parameters
from mmi_agent.types import Element, Observation

__all__ = ["Draft", "draft_calls", "spans"]

_MAX_DRAFTS = 64


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A call that could be made, and how a person would tell that it was.

    Attributes:
        tool: The tool's name.
        arguments: Its arguments.
        told: As in 'clicked the button "Ok"'.
    """

    tool: str
    arguments: dict[str, JsonValue]
    told: str


def spans(instruction: str) -> list[str]:
    """The pieces of an instruction that are likely to be typed as they stand.

    What it quotes; else its words with a digit and its names (capitalised, not the first word); else all its words.
    """
    quoted = [left or right for left, right in re.findall(r'"([^"]+)"|“([^”]+)”', instruction)]
    if quoted:
        return list(dict.fromkeys(quoted))
    words = [word for word in (raw.strip(".,:;!?()") for raw in instruction.split()) if word]
    marked = [word for index, word in enumerate(words) if re.search(r"\d", word) or (index and word[0].isupper())]
    return list(dict.fromkeys(marked or words))


def draft_calls(instruction: str, observation: Observation, tools: Sequence[Tool]) -> list[Draft]:
    """Drafts the calls worth ranking, at most 64, one for each way of telling it.

    Args:
        instruction: What is to be done.
        observation: What is seen; elements that can only be read are drafted for only where there are no others.
        tools: What may be called; only tools that can tell what they do (`FunctionTool.told`) are drafted.
    """
    elements = observation.actionable
    told = describe(elements)
    texts = spans(instruction)
    drafts: dict[str, Draft] = {}
    for tool in tools:
        for draft in _draft_tool(tool, elements, told, texts):
            drafts.setdefault(draft.told, draft)
    return list(islice(drafts.values(), _MAX_DRAFTS))


def describe(elements: Iterable[Element]) -> dict[int, str]:
    """Names each element by role and name, counting those that would be named alike, as in 'the 2nd textbox'.

    Returns:
        The description by mark.
    """
    listed = list(elements)
    plain = {element.mark: _plain(element) for element in listed}
    alike: dict[str, list[int]] = {}
    for mark, text in plain.items():
        alike.setdefault(text, []).append(mark)
    described: dict[int, str] = {}
    for text, marks in alike.items():
        for place, mark in enumerate(marks, start=1):
            described[mark] = f"the {text}" if len(marks) == 1 else f"the {_ordinal(place)} {text}"
    return described


def _plain(element: Element) -> str:
    role = {"textbox": "text field", "generic": "element"}.get(element.role, element.role)
    name = " ".join(element.name.split())[:60]
    return f'{role} "{name}"' if name else role


def _ordinal(place: int) -> str:
    suffix = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{suffix}"


def _draft_tool(
    tool: Tool, elements: Sequence[Element], told: Mapping[int, str], texts: Sequence[str]
) -> Iterator[Draft]:
    if not isinstance(tool, FunctionTool) or not tool.told:
        return
    names = re.findall(r"{(\w+)}", tool.told)
    fields = parameters(tool)["properties"]
    choices = [list(_choices(fields[name], elements, texts)) for name in names]
    referring = {name for name in names if fitting_marks(fields[name], elements) is not None}
    for values in islice(product(*choices), _MAX_DRAFTS):
        arguments = dict(zip(names, values, strict=True))
        words = {name: told[cast(int, value)] if name in referring else str(value) for name, value in arguments.items()}
        yield Draft(tool=tool.name, arguments=arguments, told=tool.told.format_map(words))


def _choices(field: dict[str, Any], elements: Sequence[Element], texts: Sequence[str]) -> Iterator[JsonValue]:
    if (marks := fitting_marks(field, elements)) is not None:
        yield from marks
    elif "enum" in field:
        yield from field["enum"]
    elif field.get("type") == "string":
        yield from texts
