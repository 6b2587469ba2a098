"""`mmi data`: a page of samples, and how many there are."""

import json
from pathlib import Path

import pytest
from cli_answers import Mmi

from mmi_agent import Picture
from mmi_agent.data.readers import open_data
from mmi_agent.data.sample import Sample
from tests.data.test_trajectories import record
from tests.data.toy_data import captions, lines, told


def test_data_is_shown_without_saying_what_it_is(mmi: Mmi) -> None:
    captions(Path("own.jsonl"), 3)
    record(Path("runs/one"))
    code, out, _ = mmi("data", "show", "own.jsonl", "--preset", "tiny")
    assert (code, out) == (0, "own.jsonl.html\n")
    assert Path("own.jsonl.html").read_text().startswith("<!DOCTYPE html>")
    code, out, _ = mmi("data", "show", "runs", "--preset", "tiny", "--out", "page.html", "--json", "--look", "elements")
    assert (code, json.loads(out)) == (0, {"page": "page.html", "form": "trajectory", "samples": 1})
    assert "<img" not in Path("page.html").read_text()


def test_data_is_counted_and_what_is_broken_is_named(mmi: Mmi) -> None:
    path = captions(Path("own.jsonl"), 3)
    path.write_text(path.read_text() + "{oops\n")
    record(Path("runs/one"), [("scroll", {"rows": 1}), ("finish", {})])
    code, out, _ = mmi("data", "check", "own.jsonl", "runs", "--preset", "tiny", "--runs", "finished")
    assert code == 0
    assert "own.jsonl: parts, 3 samples, 1 broken" in out
    assert "  1 broken, as own.jsonl: line 4: no JSON" in out
    assert "runs: trajectory, 1 samples, 0 broken" in out
    code, out, _ = mmi("data", "check", "own.jsonl", "--preset", "tiny", "--window", "2", "--json")
    (report,) = json.loads(out)
    assert (code, report["samples"], report["beyond_window"], report["tokens_max"]) == (0, 3, 3, 3)
    assert report["broken"][0]["source"] == "own.jsonl: line 4"
    code, out, _ = mmi("data", "check", "own.jsonl", "nope", "--preset", "tiny", "--json")
    assert (code, [each["window"] for each in json.loads(out)]) == (1, [2048])


def test_runs_are_written_into_one_file_that_says_the_same(mmi: Mmi) -> None:
    record(Path("runs/one"))
    code, out, _ = mmi("data", "write", "runs", "--out", "all.jsonl.gz", "--side", "64", "--json")
    assert (code, json.loads(out)["samples"], json.loads(out)["broken"]) == (0, 1, 0)
    (run,), (line,) = open_data("runs"), open_data("all.jsonl.gz")
    assert isinstance(run, Sample) and isinstance(line, Sample)
    assert told(line) == told(run)
    (picture,) = [part.content for part in line.parts if isinstance(part.content, Picture)][:1]
    assert (picture.width_px, picture.height_px) == (64, 64)
    assert mmi("data", "write", "runs", "--out", "drawn.jsonl", "--next-screens")[0] == 0
    (drawn,) = open_data("drawn.jsonl")
    assert isinstance(drawn, Sample)
    learnt = [part.learnt for part in drawn.parts if isinstance(part.content, Picture)]
    assert learnt == [False] + [True] * (len(learnt) - 1)


def test_what_is_read_is_not_written_over(mmi: Mmi) -> None:
    path = captions(Path("shards/own.jsonl"), 3)
    before = path.read_bytes()
    for data, out in (("shards/own.jsonl", "shards/../shards/own.jsonl"), ("shards", "shards/own.jsonl")):
        code, _, told = mmi("data", "write", data, "--out", out)
        assert (code, "which would be lost: name another file" in told) == (1, True), told
    assert path.read_bytes() == before
    code, _, told = mmi("data", "write", "shards/own.jsonl", "--out", "shards")
    assert (code, "is no file that could be written anew" in told) == (1, True), told
    assert [mmi("data", "write", "shards/own.jsonl", "--out", "new.jsonl")[0] for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nowhere"), "error: there is no file or folder nowhere\n"),
        (("show", "strange.jsonl"), "error: strange.jsonl: lines with prompt are of no form that is known here: "),
        (("show", "strange.jsonl", "--form", "sft"), "error: unknown form 'sft': expected one of trajectory, parts, "),
        (("check", "runs", "--preset", "tiny"), "error: runs: none of its 1 samples can be learnt from\n"),
    ],
)
def test_what_cannot_be_used_is_an_error_of_one_line(mmi: Mmi, arguments: tuple[str, ...], said: str) -> None:
    lines(Path("strange.jsonl"), {"prompt": "a"})
    record(Path("runs/one"), [("type_text", {"text": "kiwi"}), ("send", {})])
    code, _, err = mmi("data", *arguments)
    assert code == 1
    assert err.startswith(said)
    assert err.count("\n") == 1
