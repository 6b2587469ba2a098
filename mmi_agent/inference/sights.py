"""What a model gets to see of a world: its marked elements, its picture, or both."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from mmi_agent.policy import Context
from mmi_agent.tool import Tool, fitting_marks, parameters
from mmi_agent.types import Observation

__all__ = ["Look", "Sight", "sight_of", "without_elements"]

Sight = Literal["elements", "both", "picture"]
"""Marked elements and no pictures; both; or pictures without elements and without the calls that need a mark."""

Look = Sight | bool
"""A sight; True is "both", False is "elements"."""


def sight_of(look: Look) -> Sight:
    """The sight that is meant."""
    if isinstance(look, bool):
        return "both" if look else "elements"
    return look


def without_elements(context: Context) -> Context:
    """What is left to one who sees only the picture.

    No observation has elements. A tool that needs the mark of an element is not there; of one that may do with a mark
    or without, the field is not there. Calls that were made are left as they are.
    """
    return replace(
        context,
        observation=_bare(context.observation),
        tools=[shown for tool in context.tools if (shown := _markless(tool)) is not None],
        steps=tuple(replace(step, observation=_bare(step.observation)) for step in context.steps),
    )


def _bare(observation: Observation) -> Observation:
    return observation.model_copy(update={"elements": ()}) if observation.elements else observation


def _markless(tool: Tool) -> Tool | None:
    schema = parameters(tool)
    fields: Mapping[str, Any] = schema.get("properties", {})
    marks = [name for name, field in fields.items() if fitting_marks(field, ()) is not None]
    if not marks:
        return tool
    if not set(marks).isdisjoint(schema.get("required", ())):
        return None
    left = {name: field for name, field in fields.items() if name not in marks}
    return _WithoutMarks(tool, {**schema, "properties": left})


@dataclass(frozen=True)
class _WithoutMarks:
    """A tool whose fields for marks are left out; it does what it does without them."""

    tool: Tool
    args_schema: dict[str, Any]

    @property
    def name(self) -> str:
        return self.tool.name

    @property
    def description(self) -> str:
        return self.tool.description

    def invoke(self, input: Any, /) -> Any:
        return self.tool.invoke(input)
