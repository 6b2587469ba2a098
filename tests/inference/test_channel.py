"""Drafts are complete and bounded, and the untrained model ranks them well."""

import pytest
from pydantic import BaseModel, Field

from mmi_agent.inference.channel import Ranker, told_steps
from mmi_agent.inference.drafts import draft_calls, spans
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.pictures import MemoryPictures
from mmi_agent.policy import Context, PastStep
from mmi_agent.tool import FINISH, FunctionTool, element_mark
from mmi_agent.types import Element, Observation, Outcome, ToolCall


class _Click(BaseModel):
    mark: int = Field(json_schema_extra=element_mark())


class _Type(BaseModel):
    text: str
    mark: int = Field(json_schema_extra=element_mark("textbox"))


CLICK = FunctionTool(
    name="click", description="Click.", args_schema=_Click, run=lambda _: Outcome(), told="clicked {mark}"
)
TYPE = FunctionTool(
    name="type_text",
    description="Type.",
    args_schema=_Type,
    run=lambda _: Outcome(),
    told='typed "{text}" into {mark}',
)
TOOLS = (CLICK, TYPE, FINISH)


def _screen(*elements: tuple[str, str]) -> Observation:
    return Observation(
        elements=tuple(
            Element(mark=mark, role=role, name=name, box=(0, 0, 1, 1), source="dom")
            for mark, (role, name) in enumerate(elements, start=1)
        )
    )


def test_spans_are_what_would_be_typed() -> None:
    assert spans('Enter "Ann Lee" and “x y”, then "Ann Lee".') == ["Ann Lee", "x y"]
    assert spans("Enter 10/20/2017 as the date for Berta.") == ["10/20/2017", "Berta"]
    assert spans("focus it") == ["focus", "it"]
    assert spans("") == []


def test_drafts_fit_the_elements_and_tell_them_apart() -> None:
    screen = _screen(("text", "Words"), ("textbox", ""), ("textbox", ""), ("button", "Ok"))
    told = [draft.told for draft in draft_calls('Type "a" and press Ok', screen, TOOLS)]
    assert told == [
        "clicked the 1st text field",
        "clicked the 2nd text field",
        'clicked the button "Ok"',
        'typed "a" into the 1st text field',
        'typed "a" into the 2nd text field',
    ]
    many = _screen(*[("button", str(number)) for number in range(500)])
    assert len(draft_calls("press 7", many, TOOLS)) == 64


def test_only_what_was_carried_out_is_told() -> None:
    screen = _screen(("textbox", "Name"), ("button", "Ok"))
    typed = ToolCall(name="type_text", arguments={"text": "{0} {mark}", "mark": 1})
    refused = ToolCall(name="click", arguments={"mark": 2})
    steps = [
        PastStep(observation=screen, blocks=(), call=typed, outcome=Outcome()),
        PastStep(observation=screen, blocks=(), call=refused, outcome=Outcome(status="denied")),
    ]
    assert told_steps(steps, TOOLS) == ['typed "{0} {mark}" into the text field "Name"']


def test_what_was_done_is_told_as_it_was_drafted() -> None:
    live, dead = _screen(("button", "Ok"), ("button", "Ok")).elements
    screen = Observation(elements=(live, dead.model_copy(update={"states": ("disabled",)})))
    (draft,) = draft_calls("press Ok", screen, [CLICK])
    step = PastStep(
        observation=screen, blocks=(), call=ToolCall(name="click", arguments={"mark": 1}), outcome=Outcome()
    )
    assert told_steps([step], [CLICK]) == [draft.told]


@pytest.mark.weights
def test_the_untrained_model_knows_what_a_person_wanted() -> None:
    loaded, pictures = MMInterleaved.from_pretrained("small", weights="base"), MemoryPictures()
    ranker = Ranker(loaded.open(pictures), loaded.tokenizer, look=False)
    screen = _screen(("button", "Cancel"), ("textbox", ""), ("button", "Submit"), ("link", "Help"))

    def best(instruction: str, *steps: PastStep) -> str:
        context = Context(instruction=instruction, observation=screen, tools=TOOLS, pictures=pictures, steps=steps)
        return ranker.rank(context).candidates[0].draft.told

    task = 'Enter "Tora" into the text field and press Submit.'
    assert best('Click the link "Help".') == 'clicked the link "Help"'
    assert best(task) == 'typed "Tora" into the text field'
    typed = ToolCall(name="type_text", arguments={"text": "Tora", "mark": 2})
    assert best(task, PastStep(observation=screen, blocks=(), call=typed, outcome=Outcome())) == (
        'clicked the button "Submit"'
    )
