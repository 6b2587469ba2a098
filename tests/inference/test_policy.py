"""The model in charge: whatever its weights, its calls fit, and keeping what it read changes no decision."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from mmi_agent.agent.limits import Limits
from mmi_agent.agent.runtime import Agent
from mmi_agent.agent.trajectory import read_trajectory
from mmi_agent.errors import ConfigError, UnknownNameError
from mmi_agent.inference.calls import call_schemas
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.policy import ModelPolicy, Strategy
from mmi_agent.inference.sights import without_elements
from mmi_agent.pictures import MemoryPictures
from mmi_agent.policies import check_policy
from mmi_agent.policy import Context
from mmi_agent.testing import EchoEnvironment
from mmi_agent.tool import ASK_USER, FINISH, FunctionTool, element_mark, parameters, parse_arguments
from mmi_agent.types import Observation, Outcome, Text, ToolCall


class _Scroll(BaseModel, extra="forbid"):
    rows: int
    mark: int | None = Field(default=None, json_schema_extra=element_mark())


@pytest.fixture(scope="module")
def tiny() -> MMInterleaved:
    return MMInterleaved.from_pretrained("tiny")


def _context(seed: int) -> Context:
    environment, pictures = EchoEnvironment(), MemoryPictures()
    observation = environment.reset(seed=seed, pictures=pictures)
    return Context(
        instruction=environment.instruction,
        observation=observation,
        tools=(*environment.tools, FINISH, ASK_USER),
        pictures=pictures,
        seed=seed,
    )


@pytest.mark.parametrize("temperature", [0.0, 1.0, 8.0])
def test_every_call_of_a_random_model_fits_its_schema(tiny: MMInterleaved, temperature: float) -> None:
    policy = ModelPolicy(tiny, strategy="decode", temperature=temperature)
    for seed in range(12):
        context = _context(seed)
        *thoughts, call = policy.decide(context)
        assert all(isinstance(block, Text) for block in thoughts)
        assert isinstance(call, ToolCall)
        tool = next(tool for tool in context.tools if tool.name == call.name)
        parse_arguments(tool, call.arguments)  # raises where it does not fit
        if "mark" in call.arguments:
            assert call.arguments["mark"] in [element.mark for element in context.observation.elements]


def test_where_no_tool_can_tell_what_it_does_the_call_is_written(tiny: MMInterleaved) -> None:
    context = _context(2)
    calls = [[*ModelPolicy(tiny, strategy=strategy).decide(context)][-1] for strategy in ("channel", "decode")]
    written = [(call.name, call.arguments) for call in calls if isinstance(call, ToolCall)]
    assert written[0] == written[1]


@pytest.mark.parametrize("strategy", ["channel", "decode"])
def test_the_recorded_name_leads_back_to_the_policy(tiny: MMInterleaved, strategy: Strategy) -> None:
    check_policy(ModelPolicy(tiny, strategy=strategy).name)
    looking = ModelPolicy(tiny, look=True).name
    assert looking == "tiny:channel:look"
    check_policy(looking.replace("tiny", "small"))
    pointing = ModelPolicy(tiny, strategy="decode", look="picture").name
    assert pointing == "tiny:decode:picture"
    check_policy(pointing)
    check_policy("small:decode:look@runs/train/mine/adapter")
    with pytest.raises(ConfigError, match=r"or name small:decode@other"):
        check_policy("small:decode@mine", weights="other")
    for wrong in ("small:channel:loop", "small:look:picture", "small:channel:picture", "small@", "small:base@mine"):
        with pytest.raises(UnknownNameError):
            check_policy(wrong)


def test_who_sees_the_picture_alone_makes_no_call_that_needs_a_mark(tiny: MMInterleaved) -> None:
    with pytest.raises(ConfigError, match="the noisy channel drafts calls of elements"):
        ModelPolicy(tiny, look="picture")
    policy = ModelPolicy(tiny, strategy="decode", look="picture", temperature=8.0)
    blocks = [block for seed in range(12) for block in policy.decide(_context(seed))]
    made = {block.name for block in blocks if isinstance(block, ToolCall)}
    assert made <= {"type_text", "scroll", "send", "finish", "ask_user"}
    assert len(made) > 1


def test_a_mark_that_may_be_left_out_is_left_out_where_there_are_no_elements() -> None:
    def may_scroll(arguments: _Scroll) -> Outcome:
        return Outcome(text=f"{arguments.rows} {arguments.mark}")

    tool = FunctionTool(name="scroll", description="Scroll.", args_schema=_Scroll, run=may_scroll, effect="observe")
    context = replace(_context(0), tools=(tool, *_context(0).tools))
    bare = without_elements(context)
    assert bare.observation.elements == () != context.observation.elements
    assert bare.observation.pictures == context.observation.pictures
    assert list(parameters(bare.tools[0])["properties"]) == ["rows"]
    assert bare.tools[0].invoke({"rows": 2}).text == "2 None"
    assert [t.name for t in bare.tools[1:]] == [t.name for t in context.tools[1:] if t.name != "press"]
    assert list(parameters(tool)["properties"]) == ["rows", "mark"]  # the tool itself is as before


def test_a_tool_for_elements_that_are_not_there_is_not_offered() -> None:
    tools = _context(0).tools
    offered = [schema.name for schema in call_schemas(tools, Observation())]
    assert "press" not in offered
    assert "scroll" in offered


def test_reuse_saves_reading_and_changes_no_decision(tiny: MMInterleaved, tmp_path: Path) -> None:
    calls: dict[bool, list[object]] = {}
    read: dict[bool, int] = {}
    for reuse in (True, False):
        policy = ModelPolicy(tiny, strategy="decode", reuse=reuse)
        folder = tmp_path / str(reuse)
        Agent(policy, EchoEnvironment(), limits=Limits(max_steps=4)).run(seed=3, folder=folder)
        intents = [step.intent for step in read_trajectory(folder).steps]
        calls[reuse] = [(intent.call.name, intent.call.arguments) for intent in intents if intent.call]
        read[reuse] = sum(intent.usage["read"] for intent in intents)
    assert calls[True] == calls[False]
    assert read[True] < read[False] / 1.5


def test_a_context_beyond_the_window_is_cut_and_still_decided(tiny: MMInterleaved) -> None:
    context = _context(1)
    first = context.observation.elements[0]
    many = tuple(first.model_copy(update={"mark": mark, "name": f"{mark} " * 30}) for mark in range(1, 400))
    crowded = context.observation.model_copy(update={"elements": many})
    policy = ModelPolicy(tiny, strategy="decode")
    *_, call = policy.decide(
        Context(instruction="Send it.", observation=crowded, tools=context.tools, pictures=context.pictures)
    )
    assert isinstance(call, ToolCall)
