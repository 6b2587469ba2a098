"""The policies that need no model."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from mmi_agent import Context, FunctionTool, MemoryPictures, Observation, Outcome, PolicyError, ToolCall
from mmi_agent.agent.baselines import FirstElementPolicy, RandomPolicy
from mmi_agent.testing import EchoEnvironment
from mmi_agent.tool import FINISH, element_mark, parse_arguments
from tests.agent.worlds import button, run


class Odd(BaseModel):
    side: Literal["left", "right"]
    speed: float = Field(ge=0, le=2)
    count: int = Field(ge=1, le=3)
    words: list[str] = Field(max_length=2)
    link: int | None = Field(default=None, json_schema_extra=element_mark("link"))


ODD = FunctionTool(name="odd", description="Odd.", args_schema=Odd, run=lambda _: Outcome())


def context(seed: int, observation: Observation | None = None) -> Context:
    environment = EchoEnvironment()
    seen = environment.reset(pictures=MemoryPictures())
    tools = [*environment.tools, ODD, FINISH]
    return Context(
        instruction="Send fig or plum.",
        observation=observation or seen,
        tools=tools,
        pictures=MemoryPictures(),
        seed=seed,
    )


def test_random_calls_fit_their_schemas_and_the_seed_decides_them() -> None:
    seen: dict[str, set[str]] = {}
    for seed in range(300):
        here = context(seed)
        (call,) = RandomPolicy().decide(here)
        (again,) = RandomPolicy().decide(here)
        assert isinstance(call, ToolCall) and isinstance(again, ToolCall) and call.arguments == again.arguments
        tool = next(tool for tool in here.tools if tool.name == call.name)
        parse_arguments(tool, call.arguments)
        assert "link" not in call.arguments, "no element has that role"
        seen.setdefault(call.name, set()).update(map(str, call.arguments.values()))
    assert set(seen) == {"press", "type_text", "scroll", "send", "odd"}
    assert seen["press"] == {"1", "2", "3", "4"}
    assert seen["type_text"] == {"Send", "fig", "or", "plum"}
    assert seen["scroll"] == {"-3", "-2", "-1", "0", "1", "2", "3"}
    assert seen["odd"] >= {"left", "right", "1", "2", "3"}


def test_the_first_element_is_clicked() -> None:
    (call,) = FirstElementPolicy().decide(context(0, Observation(elements=(button(4, "b"), button(3, "a")))))
    assert isinstance(call, ToolCall) and (call.name, call.arguments) == ("press", {"mark": 3})


def test_nothing_to_click_is_said(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no element"):
        list(FirstElementPolicy().decide(context(0, Observation(text="blank"))))
    assert run(RandomPolicy(), EchoEnvironment(), tmp_path).steps > 0
