"""What can be called: the `Tool` contract, and `FunctionTool` to make one from a method.

A LangChain `BaseTool` fits the contract as it is: it has a name, a description, an `args_schema` and `invoke`. It says
of no effect, so it counts as consequential and is asked about before it runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

from pydantic import BaseModel, Field, JsonValue, ValidationError

from mmi_agent.errors import ActionError
from mmi_agent.types import Effect, Outcome

__all__ = [
    "ASK_USER",
    "ELEMENT_MARK",
    "FINISH",
    "FunctionTool",
    "NoArguments",
    "Tool",
    "argument_marks",
    "effect_of",
    "invoke",
    "parse_arguments",
]

ELEMENT_MARK: dict[str, JsonValue] = {"x-refers-to": "element"}
"""Put into a field's `json_schema_extra`: the field holds the mark of an element of the current observation."""


class NoArguments(BaseModel, extra="forbid"):
    """The schema of a tool that takes nothing."""


class Tool(Protocol):
    """Something that a policy can call.

    A tool may also have an attribute `effect` ("observe", "reversible" or "consequential").
    """

    @property
    def name(self) -> str:
        """The name, a word of letters, digits and underscores."""
        ...

    @property
    def description(self) -> str:
        """What it does, in a sentence that the policy reads."""
        ...

    @property
    def args_schema(self) -> Any:  # LangChain types this as `type[BaseModel] | dict | None`
        """The pydantic model of its arguments."""
        ...

    def invoke(self, input: Any, /) -> Any:
        """Carries it out and returns an `Outcome` (or text, from a tool of another framework).

        Raises:
            ActionError: If the world refuses in a way that the policy can mend.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class FunctionTool:
    """A tool that calls a function with its parsed arguments.

    Attributes:
        name: The tool's name.
        description: One sentence for the policy.
        args_schema: The pydantic model of the arguments.
        run: Called with an instance of `args_schema`.
        effect: What it can do to the world.
    """

    name: str
    description: str
    args_schema: type[BaseModel]
    run: Callable[[Any], Outcome]
    effect: Effect = "consequential"

    def invoke(self, input: dict[str, JsonValue], /) -> Outcome:
        """Parses the arguments and calls the function."""
        return self.run(parse_arguments(self, input))


def effect_of(tool: Tool) -> Effect:
    """What the tool says it can do; "consequential" where it says nothing or something else."""
    effect = getattr(tool, "effect", None)
    return effect if effect in ("observe", "reversible") else "consequential"


def parse_arguments(tool: Tool, arguments: dict[str, JsonValue]) -> BaseModel:
    """Checks arguments against the tool's schema.

    Raises:
        ActionError: If they do not fit; the text says which argument, what was wrong and what is expected.
    """
    try:
        return cast("type[BaseModel]", tool.args_schema or NoArguments).model_validate(arguments)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']} (got {fault['input']!r})"
            for fault in error.errors(include_url=False)
        )
        raise ActionError(f"the arguments of {tool.name} do not fit its schema: {faults}") from error


def invoke(tool: Tool, arguments: dict[str, JsonValue]) -> Outcome:
    """Runs a tool and returns its outcome; what a foreign tool returns becomes the outcome's text.

    `ActionError` becomes a failed outcome. Any other exception is the caller's.
    """
    try:
        result = tool.invoke(arguments)
    except ActionError as error:
        return Outcome(status="failed", text=str(error))
    return result if isinstance(result, Outcome) else Outcome(text=str(result))


def argument_marks(tool: Tool, arguments: dict[str, JsonValue]) -> Iterator[int]:
    """Yields each element mark among the arguments: the fields that carry `ELEMENT_MARK`."""
    fields = cast("type[BaseModel]", tool.args_schema or NoArguments).model_fields
    for name, field in fields.items():
        extra = field.json_schema_extra
        value = arguments.get(name)
        if isinstance(extra, dict) and "x-refers-to" in extra and isinstance(value, int):
            yield value


class _Finish(BaseModel, extra="forbid"):
    answer: str = Field(default="", max_length=400, description="What was found or done, for the person who asked.")


class _AskUser(BaseModel, extra="forbid"):
    question: str = Field(min_length=1, max_length=400, description="What only the person can answer.")


FINISH = FunctionTool(
    name="finish",
    description="End the run: the task is done, or cannot be done; say which.",
    args_schema=_Finish,
    run=lambda arguments: Outcome(text=arguments.answer),
    effect="observe",
)
"""The tool by which a policy ends a run."""

ASK_USER = FunctionTool(
    name="ask_user",
    description="Stop and ask the person something.",
    args_schema=_AskUser,
    run=lambda arguments: Outcome(text=arguments.question),
    effect="observe",
)
"""The tool by which a policy asks the person."""
