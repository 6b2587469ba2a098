"""`mmi chat` through a pipe: one line is one turn."""

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_answers import Mmi
from PIL import Image

from mmi_agent.inference.conversation import Conversation

TINY = ("chat", "--preset", "tiny", "--steps", "2", "--max-tokens", "6")


def test_one_line_is_one_turn(mmi: Mmi) -> None:
    Image.new("RGB", (60, 40), "red").save("cup.png")
    lines = [
        *["Hello", "/picture cup.png", "/undo", "/picture cup.png", "What is this?", "/draw a cup", "/again"],
        *[
            "/save talk/chat.md",
            "/save talk/chat.md",
            "/undo",
            "/undo",
            "/undo",
            "/undo",
            "/nonsense",
            "/picture no.png",
        ],
        *["/picture .", "/again", "", "/help", "/quit", "never said"],
    ]
    code, out, err = mmi(*TINY, "--stats", given="\n".join(lines))
    assert code == 0
    assert out.startswith("a chat with tiny; /help says what can be done, Ctrl-D ends it\ntiny has random weights")
    assert re.findall(r"cup\.png, 60 x 40 px: goes with", out) == ["cup.png, 60 x 40 px: goes with"] * 2
    reused = [int(found) for found in re.findall(r"\[(\d+) positions reused", out)]
    assert len(reused) == 4
    assert reused[0] < reused[1] < reused[2] == reused[3]
    drawn = [Path(found) for found in re.findall(r"px: (\S+-chat/drawn-\d\.png)\]", out)]
    assert len({path.read_bytes() for path in drawn}) == 2
    saved = Path("talk/chat.md").read_text(encoding="utf-8")
    for name in re.findall(r"\((pictures/\S+)\)", saved):
        assert (Path("talk") / name).is_file()
    assert saved.count("**You:**") == saved.count("**Model:**") == 3
    assert re.findall(r"taken back; (\d)", out) == ["2", "1", "0"]
    assert "/draw [WORDS]" in out
    assert err.splitlines() == [
        "error: talk/chat.md is there already and is not written over: name another file",
        "error: nothing was said yet",
        "error: there is no /nonsense: /help lists what there is",
        "error: there is no picture 'no.png': expected a file",
        "error: there is no picture '.': expected a file",
        "error: nothing was said yet",
    ]


def test_a_line_that_breaks_ends_no_chat(mmi: Mmi, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (60, 40), "red").save("torn.png")
    Path("torn.png").write_bytes(Path("torn.png").read_bytes().replace(b"IDAT", b"IDAX"))

    def break_off(_conversation: Conversation) -> str:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Conversation, "transcript", break_off)
    code, out, err = mmi(*TINY, given="Hello\n/save chat.md\n/picture torn.png\nStill there?\n/undo\n")
    assert (code, out.splitlines()[-1]) == (0, "[taken back; 1 turn is left]")
    broken, torn = err.splitlines()
    assert broken == "error: this should not happen: RuntimeError: a defect"
    assert torn.startswith("error: ") and "bytes are not a picture" in torn


def test_a_place_for_drawings_that_is_a_file_is_refused_at_once(mmi: Mmi) -> None:
    Path("here").touch()
    code, _, err = mmi(*TINY, "--out", "here")
    assert (code, err) == (1, "error: --out here is a file: expected a folder for drawings\n")


def test_ctrl_c_stops_an_answer_and_not_the_chat(tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]) -> None:
    (tmp_path / "lines").write_text("Hello\n/undo\n")
    process = start(*TINY[:3], "--max-tokens", "4000", "--temperature", "1", given=tmp_path / "lines")
    assert process.stdout
    for _ in range(2):
        process.stdout.readline()  # what greets
    process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "[stopped]" in out
    assert out.endswith("[taken back; 0 turns are left]\n")
