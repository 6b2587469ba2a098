"""Drawn screens: the same for the same number, what is said of them is drawn there, a file that is wrong says so."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from mmi_agent.data.encoding import encode_sample
from mmi_agent.data.readers import Reader, open_data
from mmi_agent.data.sample import Sample
from mmi_agent.data.screens.asking import ASKS
from mmi_agent.data.screens.layouts import draw_screen
from mmi_agent.data.screens.lettering import TypeFace, lettering
from mmi_agent.errors import DataError
from mmi_agent.inference.document import pixels_of
from mmi_agent.inference.prompts import Special
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.configs import tiny
from mmi_agent.types import Picture

PILLOWS = (TypeFace(),)


def screens(folder: Path, **said: Any) -> Reader:
    path = folder / "screens.json"
    path.write_text(json.dumps({"form": "screens", "count": 1000, "seed": 7, **said}))
    return open_data(path)


def text_of(sample: object) -> str:
    assert isinstance(sample, Sample)
    return "".join(part.content for part in sample.parts if isinstance(part.content, str))


def answers_of(sample: object) -> list[str]:
    assert isinstance(sample, Sample)
    return [part.content for part in sample.parts if part.learnt and isinstance(part.content, str)]


def test_a_number_is_one_screen_and_another_number_another(tmp_path: Path) -> None:
    reader, again = screens(tmp_path), screens(tmp_path)
    assert (reader.form, len(reader)) == ("screens", 1000)
    first, last = reader[3], reader[999]
    assert isinstance(first, Sample) and isinstance(last, Sample)
    same = again[3]
    assert isinstance(same, Sample)
    assert (first.parts, first.source) == (same.parts, same.source) == (first.parts, "screens.json: screen 3")
    assert first.source == reader.source(3)
    assert len({text_of(reader[number]) for number in range(40)}) == 40
    assert text_of(screens(tmp_path, seed=8)[3]) != text_of(first)
    with pytest.raises(IndexError):
        reader[1000]


def test_a_sample_is_a_chat_about_one_picture_of_which_the_answers_are_learnt(tmp_path: Path) -> None:
    config, tokenizer, reader = tiny(), Tokenizer.byte_level(), screens(tmp_path)
    for number in range(20):
        sample = reader[number]
        assert isinstance(sample, Sample)
        assert [isinstance(part.content, Picture) for part in sample.parts].index(True) == 2
        assert [part.content for part in sample.parts[:2]] == [Special("<|im_start|>"), "user\n"]
        assert sum(isinstance(part.content, Picture) for part in sample.parts) == 1
        (picture,) = encode_sample(sample, tokenizer, config, max_positions=9999).pictures
        assert pixels_of(picture.png, 8).shape == (1, 3, 8, 8)
        after_answers = [b.learnt and b.content == Special("<|im_end|>") for a, b in _pairs(sample) if a.learnt]
        assert after_answers.count(True) == len(answers_of(sample)) >= 1


def _pairs(sample: Sample) -> list[Any]:
    return list(zip(sample.parts, sample.parts[1:], strict=False))


def test_what_is_said_to_be_somewhere_is_drawn_there() -> None:
    num_widgets = 0
    for seed in range(80):
        canvas = draw_screen(Random(seed), PILLOWS)
        grey = canvas.image.convert("L")
        for widget in canvas.widgets:
            left, top, right, bottom = widget.box
            assert 0 <= left < right <= 1000 and 0 <= top < bottom <= 1000
            scale = canvas.width_px / 1000, canvas.height_px / 1000
            corners = (left * scale[0], top * scale[1], right * scale[0], bottom * scale[1])
            low, high = grey.crop(corners).getextrema()
            assert isinstance(low, int) and isinstance(high, int)
            assert high - low > 20 or widget.name == "square", widget
            num_widgets += 1
    assert num_widgets > 300


def test_glyphs_that_are_stamped_are_the_text_that_pillow_writes() -> None:
    font, size = lettering(None, 20), (200, 40)
    ours, theirs = Image.new("L", size), Image.new("L", size)
    font.write(ImageDraw.Draw(ours), 5, 5, "Submit 207", "white")
    ImageDraw.Draw(theirs).text((5, 5), "Submit 207", "white", ImageFont.load_default(20))
    ink = [sum(image.histogram()[128:]) for image in (ours, theirs)]
    assert 0.9 < ink[0] / ink[1] < 1.1
    assert ours.getbbox() and abs(ours.getbbox()[2] - theirs.getbbox()[2]) <= 2  # type: ignore[index]
    assert font.fitting("one two", font.width("one t")) == "one"
    assert font.lines("one two three", font.width("one two")) == ["one two", "three"]


def test_each_kind_of_question_can_be_asked_alone_and_points_are_written_alike(tmp_path: Path) -> None:
    point = r'"x":\d{1,4},"y":\d{1,4}'
    for kind in ASKS:
        reader = screens(tmp_path, asks={kind: 1})
        answers = [answer for number in range(30) for answer in answers_of(reader[number])]
        if kind == "locate":
            assert all(re.fullmatch(rf'{{"tool":"click_at","arguments":{{{point}}}}}', each) for each in answers)
        if kind == "describe":
            lines = [line for answer in answers for line in answer.split("\n")]
            assert all(re.search(rf" {point}$", line) for line in lines)
            assert any(line.startswith('button "') for line in lines)
        if kind == "read":
            assert {"yes", "no"} <= set(answers)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"count": 0}, "'count' is 0: Input should be greater than or equal to 1"),
        ({"count": 10**30}, "Input should be less than or equal to 100000000"),
        ({"count": "many"}, """'count' is "many": Input should be a valid integer"""),
        ({"asks": {"sing": 1}}, "'asks' has 'sing': expected describe, read, locate, which"),
        ({"asks": {"read": -1}}, "'asks' has weights [-1.0]: expected none below 0, one above it"),
        ({"asks": {}}, "'asks' is {}"),
        ({"colour": "red"}, """'colour' is "red": Extra inputs are not permitted"""),
        ({"fonts": ["nowhere"]}, "none of the folders nowhere has a font that is known"),
    ],
)
def test_a_file_that_is_wrong_says_what(tmp_path: Path, said: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=re.escape(told)) as error:
        screens(tmp_path, **said)
    assert "screens.json" in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_no_json_says_so(tmp_path: Path) -> None:
    path = tmp_path / "screens.json"
    path.write_text('{"form": "screens", "count": ')
    with pytest.raises(DataError, match=r"screens\.json is no JSON: "):
        open_data(path)
