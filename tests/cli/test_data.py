"""`mmi data`: a page of samples, and how many there are."""

import json
from pathlib import Path

import pytest
from cli_answers import Mmi

from tests.data.test_trajectories import record
from tests.data.toy_data import captions, lines


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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "nowhere"), "error: there is no file or folder nowhere\n"),
        (("show", "strange.jsonl"), "error: strange.jsonl: lines with prompt are of no form that is known here: "),
        (("show", "strange.jsonl", "--form", "sft"), "error: unknown form 'sft': expected one of trajectory, parts, "),
        (("check", "runs", "--preset", "tiny"), "error: runs: none of its 1 samples can be learnt from\n"),
    ],
)
def test_what_cannot_be_used_is_an_error_of_one_line(mmi: Mmi, arguments: tuple[str, ...], told: str) -> None:
    lines(Path("strange.jsonl"), {"prompt": "a"})
    record(Path("runs/one"), [("type_text", {"text": "kiwi"}), ("send", {})])
    code, _, err = mmi("data", *arguments)
    assert code == 1
    assert err.startswith(told)
    assert err.count("\n") == 1
