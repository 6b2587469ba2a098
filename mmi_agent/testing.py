"""For tests of policies and environments: a script that decides, a small world, and the contract as a check.

`check_environment` runs any environment through what the loop relies on; an adapter's own tests begin with it.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Annotated, cast

from PIL import Image, ImageDraw
from pydantic import BaseModel, Field, JsonValue

from mmi_agent.environment import Environment
from mmi_agent.errors import ConfigError
from mmi_agent.pictures import MemoryPictures, PictureStore
from mmi_agent.policy import Context
from mmi_agent.tool import ELEMENT_MARK, FunctionTool, NoArguments, Tool, parameters
from mmi_agent.types import Block, Element, Observation, Outcome, ToolCall, Verdict

__all__ = ["EchoEnvironment", "ScriptedPolicy", "check_environment"]


ScriptedStep = tuple[str, Mapping[str, JsonValue]] | Sequence[Block]


class ScriptedPolicy:
    """Makes the calls that it was given, then finishes.

    Args:
        calls: Each is the blocks of one step, or one call as (name, arguments).
        usage: Token counts that it claims for each step.
    """

    name = "scripted"

    def __init__(
        self,
        calls: Sequence[ScriptedStep],
        *,
        usage: dict[str, int] | None = None,
    ) -> None:
        self._steps = [_blocks(call) for call in calls]
        self.usage = dict(usage or {})
        self.contexts: list[Context] = []

    def decide(self, context: Context) -> Iterator[Block]:
        """Writes the blocks of the step; `contexts` keeps what it was shown."""
        self.contexts.append(context)
        if context.step < len(self._steps):
            yield from self._steps[context.step]
        else:
            yield ToolCall(name="finish", arguments={"answer": "the script is over"})


def _blocks(call: ScriptedStep) -> Sequence[Block]:
    if call and isinstance(name := call[0], str):
        return [ToolCall(name=name, arguments=dict(cast("Mapping[str, JsonValue]", call[1])))]
    return cast("Sequence[Block]", call)


class _Press(BaseModel, extra="forbid"):
    mark: Annotated[int, Field(ge=1, json_schema_extra=ELEMENT_MARK, description="The button.")]


class _TypeText(BaseModel, extra="forbid"):
    text: str = Field(max_length=40, description="What the field then holds.")


class _Scroll(BaseModel, extra="forbid"):
    rows: int = Field(ge=-3, le=3, description="How many rows down.")


_WORDS = ("apple", "fig", "grape", "kiwi", "lemon", "mango", "olive", "peach", "pear", "plum")
_WIDTH_PX, _HEIGHT_PX, _ROW_PX = 240, 160, 32
_SHOWN = 3  # rows of buttons that fit


class EchoEnvironment:
    """A page of buttons with words on them, a field that holds a word, and a way to send it.

    The task is to send one of the words. `press` puts a button's word into the field, `type_text` puts any, `scroll`
    shows other buttons, `send` cannot be taken back and brings the verdict.

    Args:
        task_id: The word to send; None for one drawn by the seed.
    """

    def __init__(self, task_id: str | None = None) -> None:
        if task_id is not None and task_id not in _WORDS:
            raise ConfigError(f"unknown word {task_id!r}: known are {', '.join(_WORDS)}")
        self._wanted_always = task_id
        self.name = f"echo:{task_id}" if task_id else "echo"
        self.tools: Sequence[Tool] = (
            FunctionTool(
                name="press",
                description="Press a button: its word goes into the field.",
                args_schema=_Press,
                run=self._press,
                effect="reversible",
            ),
            FunctionTool(
                name="type_text",
                description="Type a text into the field.",
                args_schema=_TypeText,
                run=self._type_text,
                effect="reversible",
            ),
            FunctionTool(
                name="scroll",
                description="Show the buttons further down or up.",
                args_schema=_Scroll,
                run=self._scroll,
                effect="observe",
            ),
            FunctionTool(
                name="send",
                description="Send what the field holds. This cannot be taken back.",
                args_schema=NoArguments,
                run=self._send,
                effect="consequential",
            ),
        )
        self._pictures: PictureStore = MemoryPictures()
        self._begin(None, 0)

    def _begin(self, task: str | None, seed: int) -> None:
        chance = random.Random(seed)
        self._words = chance.sample(_WORDS, k=8)
        drawn = chance.choice(self._words)
        self._wanted = self._wanted_always or next((word for word in _WORDS if task and word in task), drawn)
        self.instruction = task or f'Send the word "{self._wanted}".'
        self._field = ""
        self._top = 0
        self._sent: str | None = None

    def reset(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Begins an episode; the seed chooses and orders the words."""
        self._pictures = pictures
        self._begin(task, seed)
        return self.observe()

    def observe(self) -> Observation:
        """Draws the page."""
        elements = [self._element(mark, row) for mark, row in enumerate(self._rows(), start=1)]
        picture = self._pictures.put(self.draw(elements))
        return Observation(pictures=(picture,), text=f"field: {self._field}", elements=tuple(elements))

    def _rows(self) -> list[tuple[str, str, int]]:
        """What is shown: role, name and row; the field stands below the buttons."""
        shown = self._words[self._top : self._top + _SHOWN]
        return [*(("button", word, row) for row, word in enumerate(shown)), ("textbox", "word", _SHOWN)]

    def _element(self, mark: int, shown: tuple[str, str, int]) -> Element:
        role, name, row = shown
        top, bottom = (1000 * (row * _ROW_PX + edge) // _HEIGHT_PX for edge in (4, _ROW_PX - 4))
        value = self._field if role == "textbox" else ""
        return Element(mark=mark, role=role, name=name, value=value, box=(50, top, 950, bottom), source="game")

    def draw(self, elements: Sequence[Element]) -> bytes:
        """Draws elements as a PNG file."""
        image = Image.new("RGB", (_WIDTH_PX, _HEIGHT_PX), "white")
        pen = ImageDraw.Draw(image)
        for element in elements:
            left, top, right, bottom = element.box
            box = (
                left * _WIDTH_PX // 1000,
                top * _HEIGHT_PX // 1000,
                right * _WIDTH_PX // 1000,
                bottom * _HEIGHT_PX // 1000,
            )
            pen.rectangle(box, outline="black", fill="lightgray" if element.role == "button" else "white")
            pen.text((box[0] + 6, box[1] + 6), element.value or element.name, fill="black")
        buffer = BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()

    def verdict(self) -> Verdict | None:
        """Judges once something was sent."""
        if self._sent is None:
            return None
        success = self._sent == self._wanted
        return Verdict(
            success=success, reward=1.0 if success else -1.0, reason=f"sent {self._sent!r}, wanted {self._wanted!r}"
        )

    def close(self) -> None:
        """Nothing to let go of."""

    def _press(self, arguments: _Press) -> Outcome:
        rows = self._rows()
        if arguments.mark > len(rows) or rows[arguments.mark - 1][0] != "button":
            return Outcome(status="failed", text=f"{arguments.mark} is no button")
        self._field = rows[arguments.mark - 1][1]
        return Outcome(text=f"the field now holds {self._field!r}")

    def _type_text(self, arguments: _TypeText) -> Outcome:
        self._field = arguments.text
        return Outcome(text=f"the field now holds {self._field!r}")

    def _scroll(self, arguments: _Scroll) -> Outcome:
        self._top = max(0, min(len(self._words) - _SHOWN, self._top + arguments.rows))
        return Outcome(text=f"the buttons from number {self._top + 1} on are shown")

    def _send(self, _arguments: NoArguments) -> Outcome:
        self._sent = self._field
        return Outcome(text=f"sent {self._sent!r}")


# ---- the contract


def check_environment(
    factory: Callable[[], Environment], *, task: str | None = None, seed: int = 7, compare_pictures: bool = True
) -> None:
    """Checks that an environment keeps to the contract; makes two and closes both.

    Args:
        factory: Makes one.
        task: What `reset` is given; None where the world's own suite says so.
        seed: What `reset` is given.
        compare_pictures: Whether equal seeds also mean equal pixels; False for worlds with a clock or a cursor.

    Raises:
        AssertionError: If it does not; says what was expected.
    """
    first, second = factory(), factory()
    try:
        pictures, others = MemoryPictures(), MemoryPictures()
        seen = first.reset(task, seed=seed, pictures=pictures)
        _check_observation(seen, pictures)
        _check_tools(first.tools)
        _demand(bool(first.name.strip()), "an environment has a name")
        _demand(bool(first.instruction.strip()), "after reset, `instruction` says what is to be done")
        _demand(first.verdict() is None, f"a new episode has no verdict yet, not {first.verdict()}")
        again = first.observe()
        _check_observation(again, pictures)
        _check_alike(seen, again, "two looks with no act between", compare_pictures)
        twin = second.reset(task, seed=seed, pictures=others)
        _check_alike(seen, twin, "two episodes of one seed", compare_pictures)
        _demand(first.instruction == second.instruction, "two episodes of one seed have one instruction")
        _check_alike(seen, first.reset(task, seed=seed, pictures=pictures), "a reset and the first", compare_pictures)
    finally:
        for environment in (first, second):
            environment.close()
            environment.close()  # a second call does nothing


def _demand(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _check_alike(one: Observation, other: Observation, when: str, compare_pictures: bool) -> None:
    _demand(one.text == other.text, f"{when} say the same: {one.text!r} and {other.text!r}")
    odd = next((pair for pair in zip(one.elements, other.elements, strict=False) if pair[0] != pair[1]), None)
    _demand(odd is None, f"{when} show the same elements: {odd}")
    count, count_other = len(one.elements), len(other.elements)
    _demand(count == count_other, f"{when} show as many elements: {count} and {count_other}")
    if compare_pictures:
        _demand(one.pictures == other.pictures, f"{when} show the same pictures")


def _check_observation(observation: Observation, pictures: PictureStore) -> None:
    restored = Observation.model_validate_json(observation.model_dump_json())
    _demand(restored == observation, "an observation goes to JSON and back unchanged")
    marks = [element.mark for element in observation.elements]
    _demand(len(set(marks)) == len(marks), f"marks are distinct: {sorted(m for m in marks if marks.count(m) > 1)}")
    for picture in observation.pictures:
        data = None
        with suppress(KeyError):
            data = pictures.get(picture.digest)
        _demand(data is not None, f"the picture {picture.digest:.12} is in the store that `reset` was given")
        with Image.open(BytesIO(data or b"")) as image:
            _demand(
                image.size == (picture.width_px, picture.height_px),
                f"a picture has the size that it is said to have: {image.size} and {picture}",
            )
    _demand(bool(observation.pictures or observation.text or observation.elements), "there is something to see")


def _check_tools(tools: Sequence[Tool]) -> None:
    names = [tool.name for tool in tools]
    _demand(bool(tools), "an environment has at least one tool")
    _demand(len(set(names)) == len(names), f"tools have distinct names: {names}")
    for tool in tools:
        name = tool.name
        _demand(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) is not None, f"{name!r} is a snake_case word")
        _demand(name not in ("finish", "ask_user"), f"the loop adds {name!r} itself")
        _demand(bool(tool.description.strip()), f"{name} has a description")
        effect = getattr(tool, "effect", None)
        _demand(effect in ("observe", "reversible", "consequential"), f"{name} states its effect, not {effect!r}")
        _check_schema(tool)


def _check_schema(tool: Tool) -> None:
    schema = cast("object", tool.args_schema)
    is_model = isinstance(schema, type) and issubclass(schema, BaseModel)
    _demand(is_model, f"{tool.name}: `args_schema` is a pydantic model")
    described = parameters(tool)
    _demand(described.get("type") == "object", f"{tool.name}: its arguments are an object")
    json.dumps(described)  # it is shown to models and recorded
