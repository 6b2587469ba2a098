"""Two policies that need no model: what an evaluation prints beside every other, to show what luck alone is worth."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import JsonValue

from mmi_agent.errors import ActionError, PolicyError
from mmi_agent.policy import Context
from mmi_agent.tool import ASK_USER, FINISH, fitting_marks, parameters, parse_arguments
from mmi_agent.types import Block, ToolCall

__all__ = ["BASELINES", "FirstElementPolicy", "RandomPolicy"]

T = TypeVar("T")
_Schema = dict[str, Any]

_TRIES = 8  # of arguments for one tool: a schema may not say all that its validators check


@dataclass(frozen=True)
class RandomPolicy:
    """Calls a random tool of the world with random valid arguments; never finishes and never asks.

    An element argument is a random element that can be acted on and whose role fits, a text is a random word of the
    instruction, and an optional argument is left out half of the time.

    Args:
        seed: Together with the seed of the step it decides everything.
    """

    seed: int = 0
    name: str = "random"

    def decide(self, context: Context) -> Iterator[Block]:
        """Writes the call and nothing else."""
        chance = random.Random(f"{self.seed} {context.seed}")
        tools = [tool for tool in context.tools if tool.name not in (FINISH.name, ASK_USER.name)]
        for tool in chance.sample(tools, len(tools)):
            for _ in range(_TRIES):
                try:
                    arguments = _arguments(parameters(tool), context, chance)
                    parse_arguments(tool, arguments)
                except (_NothingFits, ActionError):
                    continue
                yield ToolCall(name=tool.name, arguments=arguments)
                return
        raise PolicyError("no tool can be called here")


@dataclass(frozen=True)
class FirstElementPolicy:
    """Clicks the first element that is more than something to read."""

    name: str = "first-element"

    def decide(self, context: Context) -> Iterator[Block]:
        """Writes the call and nothing else: the first tool that needs an element and no more."""
        if not context.observation.elements:
            raise PolicyError("there is no element")
        elements = context.observation.actionable
        first = min(element.mark for element in elements)
        for tool in context.tools:
            schema = parameters(tool)
            required = schema.get("required", [])
            if len(required) == 1 and fitting_marks(schema["properties"][required[0]], elements) is not None:
                yield ToolCall(name=tool.name, arguments={required[0]: first})
                return
        raise PolicyError("no tool takes just an element")


class _NothingFits(Exception):  # noqa: N818 - no error: another tool is tried
    pass


BASELINES = (RandomPolicy.name, FirstElementPolicy.name)
"""What the two are called in the runs that they decide."""


def _arguments(schema: _Schema, context: Context, chance: random.Random) -> dict[str, JsonValue]:
    required = schema.get("required", [])
    return {
        name: _value(part, schema.get("$defs", {}), context, chance)
        for name, part in cast("dict[str, _Schema]", schema.get("properties", {})).items()
        if name in required or chance.random() < 0.5
    }


def _value(part: _Schema, defs: dict[str, _Schema], context: Context, chance: random.Random) -> JsonValue:
    """Draws a value that fits a JSON schema."""
    if (marks := fitting_marks(part, context.observation.actionable)) is not None:
        return _drawn(marks, chance)
    if "$ref" in part:
        return _value(defs[part["$ref"].rpartition("/")[2]], defs, context, chance)
    if "const" in part:
        return part["const"]
    if choices := part.get("enum"):
        return _drawn(choices, chance)
    if parts := part.get("anyOf") or part.get("oneOf"):
        return _value(_drawn(parts, chance), defs, context, chance)
    return _plain_value(part, defs, context, chance)


def _plain_value(part: _Schema, defs: dict[str, _Schema], context: Context, chance: random.Random) -> JsonValue:
    match part.get("type"):
        case "boolean":
            return chance.random() < 0.5
        case "integer":
            low = part.get("minimum", part.get("exclusiveMinimum", -1) + 1)
            return chance.randint(low, part.get("maximum", part.get("exclusiveMaximum", low + 1001) - 1))
        case "number":
            low = part.get("minimum", part.get("exclusiveMinimum", 0.0))
            return chance.uniform(low, part.get("maximum", part.get("exclusiveMaximum", low + 1.0)))
        case "string":
            return _drawn(re.findall(r"\w+", context.instruction), chance)[: part.get("maxLength")]
        case "array":
            count = chance.randint(part.get("minItems", 0), part.get("maxItems", part.get("minItems", 0) + 3))
            return [_value(part.get("items", {"type": "null"}), defs, context, chance) for _ in range(count)]
        case "object":
            return _arguments({**part, "$defs": defs}, context, chance)
        case _:
            return None


def _drawn(choices: Sequence[T], chance: random.Random) -> T:
    if not choices:
        raise _NothingFits
    return chance.choice(choices)
