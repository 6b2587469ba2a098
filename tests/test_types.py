"""Records go to JSON and back without loss, whatever a page puts into them."""

import pytest
from pydantic import TypeAdapter, ValidationError

from mmi_agent import Block, Element, Observation, Outcome, Picture, Text, ToolCall

UNSPEAKABLE = "a\ud83db\0c\udfff"
CLEAN = "a\ufffdb\ufffdc\ufffd"


def test_lone_surrogates_and_nul_are_replaced_wherever_text_comes_in() -> None:
    element = Element(
        mark=1, role="link", name=UNSPEAKABLE, value=UNSPEAKABLE, states=(UNSPEAKABLE,), box=(0, 0, 1, 1), source="dom"
    )
    call = ToolCall(name="type", arguments={UNSPEAKABLE: [{"deep": UNSPEAKABLE}, 1, None]})
    observation = Observation(text=UNSPEAKABLE, elements=(element,))
    assert (element.name, element.value, element.states, observation.text) == (CLEAN, CLEAN, (CLEAN,), CLEAN)
    assert call.arguments == {CLEAN: [{"deep": CLEAN}, 1, None]}
    assert Outcome(text=UNSPEAKABLE).text == CLEAN
    assert Observation.model_validate_json(observation.model_dump_json()) == observation


def test_ordinary_text_is_left_alone() -> None:
    for text in ("", "naïve 日本語 🥝 \n\t\\", "a" * 10_000):
        assert Text(text=text).text == text


@pytest.mark.parametrize(
    "block",
    [
        Text(text="hm"),
        Picture(digest="0" * 64, width_px=1, height_px=2, origin="drawn"),
        ToolCall(name="click", arguments={"mark": 3, "nested": {"list": [1, 2.5, "x", None, True]}}),
    ],
)
def test_blocks_are_told_apart_by_kind(block: Block) -> None:
    blocks: TypeAdapter[Text | Picture | ToolCall] = TypeAdapter(Block)
    assert blocks.validate_json(block.model_dump_json()) == block


@pytest.mark.parametrize("box", [(10, 0, 5, 10), (-1, 0, 5, 5), (0, 0, 1001, 5)])
def test_a_box_is_ordered_and_within_the_picture(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValidationError, match=r"within 0\.\.1000"):
        Element(mark=1, role="button", name="", box=box, source="dom")
