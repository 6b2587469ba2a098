"""A run on marked elements, told to one who only sees: the same as if it had been pointed at from the beginning."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel, Field

from mmi_agent import Outcome, Text, ToolCall
from mmi_agent.data.readers import open_data
from mmi_agent.data.readers.pointing import by_points
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import DataError
from mmi_agent.inference.prompts import ChatPrompt, encode_content
from mmi_agent.inference.sights import Sight
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.policy import PastStep
from mmi_agent.testing import EchoEnvironment, ScriptedPolicy
from mmi_agent.tool import FunctionTool, element_mark
from mmi_agent.types import Element, Observation, Picture
from tests.agent.worlds import run


@pytest.fixture(autouse=True)
def nobody_says_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which runs get a last call that says so is up to their digests, which are others each time."""
    monkeypatch.setattr("mmi_agent.data.readers.trajectories._SAYS_DONE", 1 << 40)


class _Mark(BaseModel, extra="forbid"):
    mark: int = Field(ge=1, json_schema_extra=element_mark())


class _Point(BaseModel, extra="forbid"):
    x: int
    y: int
    count: int = 1


class _Typed(BaseModel, extra="forbid"):
    mark: int = Field(ge=1, json_schema_extra=element_mark("textbox"))
    text: str


class _Focused(BaseModel, extra="forbid"):
    text: str


class _Scroll(BaseModel, extra="forbid"):
    rows: int
    mark: int | None = Field(default=None, json_schema_extra=element_mark())


class Page(EchoEnvironment):
    """The page of buttons, with the calls of a browser, which say what they did as a browser does."""

    def __init__(self) -> None:
        super().__init__("fig")
        send = self.tools[-1]
        self.tools = (
            self._tool("click", _Mark, lambda a: self._click(self._shown(a.mark), "element")),
            self._tool("click_at", _Point, lambda a: self._click(self._at(a.x, a.y), f"the point {(a.x, a.y)}")),
            self._tool("type_text", _Typed, lambda a: self._write(a.text, "into an element")),
            self._tool("type_focused", _Focused, lambda a: self._write(a.text, "where the focus is")),
            self._tool("scroll", _Scroll, lambda a: Outcome(text="nothing scrolled")),
            send,
        )

    @staticmethod
    def _tool(name: str, schema: type[BaseModel], act: Any) -> FunctionTool:
        return FunctionTool(name=name, description=f"{name}.", args_schema=schema, run=act, effect="reversible")

    def _shown(self, mark: int) -> Element:
        return self.observe().elements[mark - 1]

    def _at(self, x: int, y: int) -> Element:
        return next(e for e in self.observe().elements if e.box[1] <= y <= e.box[3] and e.box[0] <= x <= e.box[2])

    def _click(self, element: Element, words: str) -> Outcome:
        self._field = element.name if element.role == "button" else self._field
        return Outcome(text=f"clicked {words}")

    def _write(self, text: str, words: str) -> Outcome:
        self._field = text
        return Outcome(text=f"typed {text!r} {words}")


MARKED: list[Any] = [
    [Text(text="Scroll."), ToolCall(name="scroll", arguments={"rows": 1, "mark": 1})],
    [Text(text="Type it."), ToolCall(name="type_text", arguments={"mark": 4, "text": "fi"})],
    [Text(text="Type it anew."), ToolCall(name="type_text", arguments={"mark": 4, "text": "fig"})],
    [Text(text="Click."), ToolCall(name="click", arguments={"mark": 4})],
    [Text(text="Send it."), ToolCall(name="send", arguments={})],
]
POINTED: list[Any] = [
    [Text(text="Scroll."), ToolCall(name="scroll", arguments={"rows": 1})],
    [Text(text="Type it."), ToolCall(name="click_at", arguments={"x": 500, "y": 700})],
    [Text(text="Type it."), ToolCall(name="type_focused", arguments={"text": "fi"})],
    [Text(text="Type it anew."), ToolCall(name="click_at", arguments={"x": 500, "y": 700, "count": 3})],
    [Text(text="Type it anew."), ToolCall(name="type_focused", arguments={"text": "fig"})],
    [Text(text="Click."), ToolCall(name="click_at", arguments={"x": 500, "y": 700})],
    [Text(text="Send it."), ToolCall(name="send", arguments={})],
]


def record(folder: Path, calls: list[Any]) -> ScriptedPolicy:
    policy = ScriptedPolicy(calls)
    run(policy, Page(), folder)
    return policy


def only(folder: Path, look: Sight) -> Sample:
    (sample,) = open_data(folder, look=look)
    assert isinstance(sample, Sample), sample
    return sample


def text_of(sample: Sample) -> str:
    return "".join(part.content for part in sample.parts if isinstance(part.content, str))


def test_a_run_on_elements_is_told_to_who_sees_as_the_run_that_points(tmp_path: Path) -> None:
    record(tmp_path / "marked", MARKED)
    policy = record(tmp_path / "pointed", POINTED)
    middle = policy.contexts[1].observation.elements[3].center
    assert middle == (500, 700), "where the script points"
    told = only(tmp_path / "marked", "picture")
    pointed = only(tmp_path / "pointed", "picture")
    triple = "double-clicked the point (500, 700)"  # what a browser says of more clicks than one
    assert text_of(told).replace(triple, triple.removeprefix("double-")) == text_of(pointed)
    assert [part.learnt for part in told.parts] == [part.learnt for part in pointed.parts]
    pictures = [[p.content for p in sample.parts if isinstance(p.content, Picture)] for sample in (told, pointed)]
    assert pictures[0] == pictures[1] and len(pictures[0]) == 7


def test_what_is_learnt_is_what_stands_in_the_prompt_of_each_decision(tmp_path: Path) -> None:
    policy = record(tmp_path / "pointed", POINTED)
    tokenizer = Tokenizer.byte_level()
    units = encode_content([part.content for part in only(tmp_path / "pointed", "picture").parts], tokenizer)
    prompts = [ChatPrompt(tokenizer, look="picture").decision(context) for context in policy.contexts]
    assert len(prompts) == 7
    for prompt in prompts:
        assert units[: len(prompt)] == prompt


def test_each_sight_shows_its_own(tmp_path: Path) -> None:
    record(tmp_path / "run", MARKED)
    sights: Sequence[Sight] = ("elements", "both", "picture")
    elements, both, picture = (only(tmp_path / "run", sight) for sight in sights)
    assert [any(isinstance(p.content, Picture) for p in s.parts) for s in (elements, both, picture)] == [0, 1, 1]
    assert text_of(elements) == text_of(both)
    assert '"textbox word [4]"' in text_of(both) and "type_text(mark, text)" in text_of(both)
    for gone in ("[4]", "type_text", "click(mark", "mark"):
        assert gone not in text_of(picture)
    for there in ("scroll(rows): ", "click_at(x, y, count): ", "field: fi", "Think in one short sentence"):
        assert there in text_of(picture)


def step(name: str, role: str, value: str = "", states: tuple[str, ...] = (), **arguments: Any) -> PastStep:
    element = Element(mark=1, role=role, name="a", value=value, states=states, box=(0, 0, 10, 20), source="dom")
    call = ToolCall(name=name, arguments={"mark": 1, **arguments})
    return PastStep(observation=Observation(elements=(element,)), blocks=(), call=call, outcome=Outcome(text="did"))


def told(*steps: PastStep) -> list[tuple[str, dict[str, Any], str]]:
    found = by_points(steps, Page().tools)
    return [(s.call.name, cast("dict[str, Any]", s.call.arguments), s.outcome.text) for s in found if s.call]


def test_a_field_that_has_the_focus_and_is_empty_is_typed_into_without_a_click() -> None:
    typed = ("type_focused", {"text": "b"}, "typed 'b' where the focus is")
    assert told(step("type_text", "textbox", states=("focused",), text="b")) == [typed]
    clicked = ("click_at", {"x": 5, "y": 10}, "clicked the point (5, 10)")
    assert told(step("type_text", "searchbox", text="b")) == [clicked, typed]
    whole = ("click_at", {"x": 5, "y": 10, "count": 3}, "double-clicked the point (5, 10)")
    assert told(step("type_text", "textbox", "held", ("focused",), text="b")) == [whole, typed]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (step("click", "option"), "a list that is shut does not show it"),
        (step("type_text", "date", text="2020-01-01"), "a field of the kind 'date'"),
        (step("type_text", "textbox", "held", text=""), "a field that was emptied"),
        (step("type_text", "textbox", "two\nlines", text="one"), "held several lines"),
        (step("click", "button", mark=7), "there was no element 7"),
    ],
)
def test_what_has_no_call_that_points_is_broken(wrong: PastStep, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        told(wrong)


def test_a_run_that_cannot_be_told_by_points_is_broken_in_that_sight_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(
        ScriptedPolicy([("press", {"mark": 1}), ("type_text", {"text": "fig"}), ("send", {})]),
        EchoEnvironment("fig"),
        folder,
    )
    (broken,) = open_data(folder, look="picture")
    assert isinstance(broken, Broken)
    assert broken.reason == "'press' cannot be told by points: no call is known that does the same"
    assert only(folder, "both")
