"""Boxes are read and written as the released model was taught, and what it writes is always a box."""

import random
import re

import pytest
from PIL import Image

from mmi_agent.errors import ConfigError, ShapeError
from mmi_agent.inference.grounding import Grounding, corner_pattern, grounded, parse
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.sampling import Sampling
from mmi_agent.types import Box


def test_the_form_is_the_released_one() -> None:
    text = grounded("a dog", [(0, 1, 500, 1000)])
    assert text == "<ref>a dog</ref><box>(000,001)(500,999)</box>"
    assert parse(f"There is {text}.").found == [Grounding(phrase="a dog", boxes=((0, 1, 501, 1000),))]


def test_boxes_go_there_and_back_within_one_unit() -> None:
    random.seed(1)
    for _ in range(500):
        left, right = sorted(random.choices(range(1001), k=2))
        top, bottom = sorted(random.choices(range(1001), k=2))
        box: Box = (left, top, right, bottom)
        ((back,),) = [found.boxes for found in parse(grounded("x", [box])).found]
        assert max(abs(there - here) for there, here in zip(box, back, strict=True)) <= 1


def test_several_boxes_and_phrases_are_told_apart() -> None:
    found, skipped = parse(
        "<box>(1,2)(3,4)</box> <ref>cats</ref><box>(010,010)(020,020)</box><box> (30, 30) (40, 40)(50,50)(60,60)</box>"
        "<ref>nothing</ref>"
    )
    assert [(one.phrase, len(one.boxes)) for one in found] == [("", 1), ("cats", 3), ("nothing", 0)]
    assert not skipped


@pytest.mark.parametrize(
    "damaged",
    [
        "<box>(500,000)(400,999)</box>",
        "<box>(000,500)(999,400)</box>",
        "<box>(000,000)(1000,100)</box>",
        "<box>(000,000)(100,100)",
        "<box>(000,000)</box>",
        "<box></box>",
        "<box>(0,0)(1,1)(2,2)</box>",
        "</box>",
        "<ref>half a phrase",
    ],
)
def test_what_is_damaged_is_reported_and_the_rest_counts(damaged: str) -> None:
    found, skipped = parse(f"{damaged} <ref>dog</ref><box>(1,1)(2,2)</box> {damaged}")
    assert Grounding(phrase="dog", boxes=((1, 1, 2, 2),)) in found
    assert sum(len(one.boxes) for one in found) == 1
    assert len(skipped) == 2


def test_a_phrase_cannot_smuggle_in_a_box() -> None:
    with pytest.raises(ConfigError, match="tag"):
        grounded("x</ref><box>(1,1)(2,2)</box>", [])


def test_a_model_that_knows_nothing_still_answers_with_boxes() -> None:
    document = MMInterleaved.from_pretrained("tiny", draws=False).open()
    document.append(Image.new("RGB", (40, 30), "green"), "A meadow.")
    before, scores = list(document.units), document.next_scores()
    answers = [
        document.ground("a cow <box>", most=3, sampling=Sampling(temperature=4.0), seed=seed) for seed in range(12)
    ]
    assert {len(boxes) for boxes in answers} <= {1, 2, 3} and any(len(boxes) > 1 for boxes in answers)
    assert all(0 <= x1 <= x2 <= 1000 and 0 <= y1 <= y2 <= 1000 for boxes in answers for x1, y1, x2, y2 in boxes)
    assert len({tuple(boxes) for boxes in answers}) > 9, "the seed must matter"
    assert document.units == before and document.next_scores().equal(scores)
    document.append("x" * (4096 - document.length))
    with pytest.raises(ShapeError, match="would drop the picture that it is about"):
        document.ground("a cow")
    assert document.length == 4096
    for least in (0, 7, 99, 450, 989, 999):
        matching = [n for n in range(1000) if re.fullmatch(corner_pattern(least), f"({n:03d},500)")]
        assert matching == list(range(least, 1000))
    with pytest.raises(ConfigError, match="no picture"):
        MMInterleaved.from_pretrained("tiny", draws=False).open().ground("a cow")
