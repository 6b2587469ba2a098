"""The page of samples: what is learnt is marked, what the data says stays text."""

import base64
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from mmi_agent.data.measuring import Yardstick, examine
from mmi_agent.data.readers import open_data
from mmi_agent.data.show import render_samples
from mmi_agent.errors import UnknownNameError
from mmi_agent.models.configs import preset, tiny
from tests.data.test_trajectories import SAID, record
from tests.data.toy_data import captions, lines
from tests.viewer.test_page import HOSTILE, Markup

YARDSTICK = Yardstick.of("tiny")


def learnt(page: str) -> list[str]:
    return re.findall(r'<(?:span|code) class="(?:marker |seen )?learnt">(.*?)</(?:span|code)>', page, re.DOTALL)


def test_what_is_learnt_is_marked_and_pictures_have_the_models_sizes(tmp_path: Path) -> None:
    page = {"images": ["red.jpg", None, "blue.jpg"], "texts": [None, "A red page.", None]}
    text = render_samples(open_data(lines(tmp_path / "docs.jsonl", page)), YARDSTICK)
    first, *seen, last = learnt(text)
    assert (first, seen[0], last) == ("marked", "A red page.", "end of text")
    assert len(seen) == 2
    config = tiny()
    assert config.image_decoder is not None
    eyes, hand = config.vision.image_size, config.image_decoder.image_size
    uris = [image["src"] or "" for image in Markup(text).all("img")]
    images = [Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))).split() for uri in uris]
    assert [red.size for red, _, _ in images] == [(eyes, eyes), (eyes, eyes), (hand, hand)]  # the first is only read
    extremes = [red.getextrema() for red, _, _ in images]
    assert extremes == [(254, 254), (0, 0), (0, 0)]  # a red picture, then a blue one


def test_a_run_is_shown_with_its_thoughts_marked(tmp_path: Path) -> None:
    record(tmp_path / "runs" / "one")
    text = render_samples(open_data(tmp_path / "runs"), YARDSTICK)
    assert SAID in learnt(text)
    assert "&lt;|im_end|&gt;" in learnt(text)
    assert not any("You work on a screen" in each for each in learnt(text))
    assert "runs/one/trajectory.jsonl" in Markup(text).text
    assert "1 samples, 0 of them broken" in Markup(text).text


def test_nothing_that_the_data_says_becomes_markup(tmp_path: Path) -> None:
    hostile = {"parts": [{"text": HOSTILE}, {"text": HOSTILE, "learnt": True}]}
    named = {"parts": [{"picture": "<img src=y>.jpg"}, {"text": "a", "learnt": True}]}
    path = lines(tmp_path / "<i>own.jsonl", hostile, named)
    text = render_samples(open_data(path), YARDSTICK)
    markup = Markup(text)
    assert len(markup.all("script")) == 1  # the page's own
    assert not markup.all("img")
    assert not markup.all("i")
    assert markup.text.count("<img src=x onerror=alert(2)>") == 2
    assert "the picture '<img src=y>.jpg' is missing" in markup.text
    assert "default-src 'none'" in text


def test_the_page_counts_what_it_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = captions(tmp_path / "own.jsonl", 30)
    path.write_text(path.read_text() + "{oops\n" * 3)
    reader = open_data(path)
    markup = Markup(render_samples(reader, YARDSTICK, limit=4))
    assert len(markup.all("article")) == 4
    assert "33 samples, 3 of them broken" in markup.text
    assert "3 broken, as own.jsonl: line 31: no JSON" in markup.text
    by_chance = render_samples(reader, YARDSTICK, limit=4, seed=5)
    assert by_chance == render_samples(reader, YARDSTICK, limit=4, seed=5)
    assert Markup(by_chance).text != markup.text
    monkeypatch.setattr("mmi_agent.data.show.MOST_EXAMINED", 10)
    few = Markup(render_samples(reader, YARDSTICK, limit=4)).text
    assert "33 samples, 0 of 10 broken" in few
    assert "The figures are of 10 samples." in few


def test_what_is_measured_is_what_training_does() -> None:
    blind = replace(YARDSTICK, name="small", config=preset("small"))  # its tokenizer has no part in it
    assert (blind.row_tokens, blind.look) == (2048, "elements")
    assert (YARDSTICK.row_tokens, YARDSTICK.look) == (2048, "both")


def test_a_report_measures_in_the_models_tokens(tmp_path: Path) -> None:
    config = tiny()
    own = [{"parts": [{"text": "ab"}, {"picture": "red.jpg"}, {"text": "c" * n, "learnt": True}]} for n in range(1, 21)]
    unknown = {"parts": [{"marker": "<|nothing|>"}, {"text": "a", "learnt": True}]}
    reader = open_data(lines(tmp_path / "own.jsonl", *own, unknown, '{"parts": 1}', '{"parts": 2}'))
    report = examine(reader, YARDSTICK, window=2 + 10 + config.resampler.num_queries)
    fixed = 2 + 2 + 1 + config.resampler.num_queries  # beginning and end, "ab", a picture
    assert [length.tokens for length in report.lengths] == [fixed + n for n in range(1, 21)]
    assert report.totals.learnt == sum(n + 1 for n in range(1, 21))
    assert (report.tokens_at(0.95), report.tokens_at(1)) == (fixed + 19, fixed + 20)
    assert report.beyond_window == 20 - 7
    assert [(kind.count, kind.example.source) for kind in report.by_count()] == [
        (2, "own.jsonl: line 22"),
        (1, "own.jsonl: line 21"),
    ]
    assert "unknown special token '<|nothing|>'" in report.by_count()[1].example.reason
    with pytest.raises(UnknownNameError, match="unknown preset 'smal': did you mean 'small'"):
        Yardstick.of("smal")
