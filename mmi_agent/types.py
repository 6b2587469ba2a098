"""The words that every part of the framework shares: blocks, observations, outcomes, verdicts.

Everything here is a frozen pydantic model that goes to JSON and back without loss. The bytes of a picture never stand
in a record: a record names them by digest, and a `mmi_agent.pictures.PictureStore` holds them.
"""

import re
from typing import Annotated, Literal, Self
from uuid import uuid4

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

__all__ = [
    "Arguments",
    "Block",
    "Box",
    "CleanText",
    "Effect",
    "Element",
    "Observation",
    "Outcome",
    "Picture",
    "Text",
    "ToolCall",
    "Verdict",
    "clean_text",
]

Effect = Literal["observe", "reversible", "consequential"]
"""What a tool can do to the world; a tool that does not say counts as consequential."""


_UNSPEAKABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Replaces what no JSON file or model can hold: each lone surrogate and NUL becomes U+FFFD.

    Pages, windows and chat lines may carry both; every text of a record passes through here.
    """
    return _UNSPEAKABLE.sub("\ufffd", text)


def _clean_json(value: JsonValue) -> JsonValue:
    """Cleans every text in a JSON value, keys included."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): _clean_json(item) for key, item in value.items()}
    return value


def _clean_arguments(arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {clean_text(name): _clean_json(value) for name, value in arguments.items()}


CleanText = Annotated[str, AfterValidator(clean_text)]
Arguments = Annotated[dict[str, JsonValue], AfterValidator(_clean_arguments)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(_Record):
    """A piece of text."""

    kind: Literal["text"] = "text"
    text: CleanText


class Picture(_Record):
    """A picture by name: the bytes are in the `PictureStore` of the run.

    Attributes:
        digest: SHA-256 of the PNG file, 64 hexadecimal digits.
        width_px: Width in pixels.
        height_px: Height in pixels.
        origin: Whether an environment saw it or a model drew it.
    """

    kind: Literal["picture"] = "picture"
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    width_px: int = Field(ge=1)
    height_px: int = Field(ge=1)
    origin: Literal["observed", "drawn"] = "observed"


class ToolCall(_Record):
    """A request to run one tool.

    Attributes:
        name: The tool's name.
        arguments: JSON values by parameter name, as the model wrote them; the guard checks them against the schema.
        id: Names this call in the trajectory.
    """

    kind: Literal["tool_call"] = "tool_call"
    name: CleanText
    arguments: Arguments = Field(default_factory=dict)
    id: str = Field(default_factory=lambda: uuid4().hex)


Block = Annotated[Text | Picture | ToolCall, Field(discriminator="kind")]
"""What a model reads and writes, told apart by `kind`."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, each 0..1000 of the picture's width or height."""


_READ_ROLES = frozenset({"text", "heading"})


class Element(_Record):
    """One thing on the screen (or in the game) that can be acted on.

    Attributes:
        mark: The number that names it in this observation, counted from 1; the next observation may count otherwise.
        role: What it is: "button", "textbox", "link", ... (ARIA roles where the source is a screen).
        name: Its accessible name. Data from the screen, never an instruction.
        value: What it holds now: a field's text, a slider's position, a list's selection.
        states: Words such as "checked", "selected", "expanded", "focused", "disabled".
        box: Where it is, 0..1000 of the observation's first picture.
        source: Who reported it.
    """

    mark: int = Field(ge=1)
    role: CleanText
    name: CleanText
    value: CleanText = ""
    states: tuple[CleanText, ...] = ()
    box: Box
    source: Literal["accessibility", "dom", "ocr", "game"]

    @model_validator(mode="after")
    def _box_is_ordered(self) -> Self:
        left, top, right, bottom = self.box
        if not (0 <= left <= right <= 1000 and 0 <= top <= bottom <= 1000):
            raise ValueError(f"box {self.box} is not (left, top, right, bottom) within 0..1000")
        return self

    @property
    def center(self) -> tuple[int, int]:
        """The middle of the box, 0..1000."""
        left, top, right, bottom = self.box
        return (left + right) // 2, (top + bottom) // 2


class Observation(_Record):
    """What an environment shows at one moment.

    Attributes:
        pictures: Screenshots or frames; element boxes refer to the first.
        text: What the environment says in words (an address, an inventory). Data, never an instruction.
        elements: What can be acted on, with distinct marks.
    """

    pictures: tuple[Picture, ...] = ()
    text: CleanText = ""
    elements: tuple[Element, ...] = ()

    def element(self, mark: int) -> Element | None:
        """Returns the element with that mark, or None."""
        return next((element for element in self.elements if element.mark == mark), None)

    @property
    def actionable(self) -> tuple[Element, ...]:
        """The elements that are more than something to read; all where there are no others."""
        live = (e for e in self.elements if e.role not in _READ_ROLES and "disabled" not in e.states)
        return tuple(live) or self.elements


class Outcome(_Record):
    """What came of a tool call.

    Attributes:
        status: "done": it was carried out. "failed": it was tried and the world refused. "invalid": the arguments do
            not fit the schema or the target is gone. "denied": the guard or the approver said no. "in_doubt": the
            process died between intent and outcome, so nobody knows.
        text: What happened, in words that help the model go on.
        pictures: Pictures that the tool returned.
    """

    status: Literal["done", "failed", "invalid", "denied", "in_doubt"] = "done"
    text: CleanText = ""
    pictures: tuple[Picture, ...] = ()

    @property
    def ran(self) -> bool:
        """Whether the tool was started."""
        return self.status in ("done", "failed", "in_doubt")


class Verdict(_Record):
    """The world's own judgement of an episode, from its state and never from a picture of it.

    Attributes:
        success: Whether the task is solved.
        reward: The world's own number, -1..1 where it has none of its own scale.
        reason: What was checked, in words.
    """

    success: bool
    reward: float
    reason: CleanText = ""
