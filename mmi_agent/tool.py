"""What can be called: the `Tool` contract, and `FunctionTool` to make one from a method.

A LangChain `BaseTool` fits the contract as it is: it has a name, a description, an `args_schema` and `invoke`. It says
of no effect, so it counts as consequential and is asked about before it runs. Its schema may be JSON, as of tools of
MCP servers: of that the outermost fields are checked here, the rest by the tool.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model

from mmi_agent.errors import ActionError
from mmi_agent.pictures import PictureStore
from mmi_agent.types import Effect, Element, Outcome, Picture

__all__ = [
    "ASK_USER",
    "ELEMENT_MARK",
    "FINISH",
    "FunctionTool",
    "NoArguments",
    "Tool",
    "argument_marks",
    "effect_of",
    "element_mark",
    "fitting_marks",
    "invoke",
    "parameters",
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
        """The pydantic model of its arguments, or their JSON schema."""
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
        told: How a person would tell that it was done, with the arguments in braces, as in 'clicked {mark}'. A policy
            that ranks drafts of calls by how they would be told needs it; a tool without it is never drafted.
    """

    name: str
    description: str
    args_schema: type[BaseModel]
    run: Callable[[Any], Outcome]
    effect: Effect = "consequential"
    told: str = ""

    def invoke(self, input: dict[str, JsonValue], /) -> Outcome:
        """Parses the arguments and calls the function."""
        return self.run(parse_arguments(self, input))


def element_mark(*roles: str) -> dict[str, JsonValue]:
    """`json_schema_extra` of a field that holds the mark of an element of the current observation.

    Args:
        roles: The roles of the elements that the tool is for; none where it is for all.
    """
    return {**ELEMENT_MARK, "x-roles": list(roles)} if roles else {**ELEMENT_MARK}


def fitting_marks(field: Mapping[str, Any], elements: Iterable[Element]) -> list[int] | None:
    """The marks that a field may hold.

    Args:
        field: The field's JSON schema, as in `parameters(tool)["properties"][name]`.
        elements: What there is to choose from.

    Returns:
        The marks of the elements whose role fits; None if the field does not refer to an element.
    """
    if field.get("x-refers-to") != "element":
        return None
    roles = field.get("x-roles")
    return [element.mark for element in elements if not roles or element.role in roles]


def parameters(tool: Tool) -> dict[str, Any]:
    """The JSON schema of the tool's arguments."""
    schema = tool.args_schema or NoArguments
    return dict(cast("dict[str, Any]", schema)) if isinstance(schema, dict) else schema.model_json_schema()


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
        return _arguments_model(tool).model_validate(arguments)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']} (got {fault['input']!r})"
            for fault in error.errors(include_url=False)
        )
        raise ActionError(f"the arguments of {tool.name} do not fit its schema: {faults}") from error


_TYPES = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list[Any], "object": dict[str, Any]}


def _arguments_model(tool: Tool) -> type[BaseModel]:
    """The model of a tool's arguments; of a JSON schema one that checks the outermost fields."""
    schema: Any = tool.args_schema or NoArguments
    if not isinstance(schema, dict):
        return schema
    described = cast("dict[str, Any]", schema)
    required = described.get("required", ())
    fields = {
        name: (_type_of(field), Field(... if name in required else None, alias=name))
        for name, field in described.get("properties", {}).items()
    }
    extra = "allow" if described.get("additionalProperties") else "forbid"
    named: Any = {f"field_{number}": field for number, field in enumerate(fields.values())}  # names may be any text
    return create_model(f"{tool.name}_arguments", __config__=ConfigDict(extra=extra, strict=True), **named)


def _type_of(field: Any) -> Any:
    described = cast("dict[str, Any]", field) if isinstance(field, dict) else {}
    if values := described.get("enum"):
        return Literal[tuple(values)]
    kind = described.get("type")
    return _TYPES.get(kind, Any) if isinstance(kind, str) else Any


def invoke(tool: Tool, arguments: dict[str, JsonValue], pictures: PictureStore | None = None) -> Outcome:
    """Runs a tool and returns its outcome; what a foreign tool returns becomes the outcome's text and pictures.

    `ActionError` becomes a failed outcome. Any other exception is the caller's.

    Args:
        tool: The tool.
        arguments: As the policy wrote them.
        pictures: Takes the pictures of a tool that returns LangChain's content blocks; None leaves them out.
    """
    try:
        result = tool.invoke(arguments)
    except ActionError as error:
        return Outcome(status="failed", text=str(error))
    if isinstance(result, Outcome):
        return result
    if _are_blocks(result):
        return _outcome_of(cast("Sequence[Mapping[str, Any]]", result), pictures)
    return Outcome(text=str(result))


def _are_blocks(result: object) -> bool:
    blocks = cast("list[Any]", result) if isinstance(result, list) else []
    return bool(blocks) and all(isinstance(block, dict) and "type" in block for block in blocks)


def _outcome_of(blocks: Sequence[Mapping[str, Any]], pictures: PictureStore | None) -> Outcome:
    texts: list[str] = []
    seen: list[Picture] = []
    for block in blocks:
        if block["type"] == "text":
            texts.append(str(block.get("text", "")))
        elif block["type"] == "image" and "base64" in block and pictures is not None:
            try:
                seen.append(pictures.put(base64.b64decode(block["base64"], validate=True)))
            except (ActionError, binascii.Error, ValueError, TypeError) as error:
                texts.append(f"[a picture that cannot be read: {error}]")
        else:
            texts.append(f"[{block['type']}, left out]")
    return Outcome(text="\n".join(texts), pictures=tuple(seen))


def argument_marks(arguments: BaseModel) -> dict[str, int]:
    """Finds each element mark among parsed arguments, by name: the fields that carry `ELEMENT_MARK`."""
    marks: dict[str, int] = {}
    for name, field in type(arguments).model_fields.items():
        extra, value = field.json_schema_extra, getattr(arguments, name)
        if isinstance(extra, dict) and "x-refers-to" in extra and isinstance(value, int):
            marks[field.alias or name] = value
    return marks


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
