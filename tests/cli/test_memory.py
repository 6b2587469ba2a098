"""`mmi memory` and `--memory`: the owner's rights, at the terminal."""

import json
from pathlib import Path

import pytest
from cli_answers import Mmi

from mmi_agent.agent.trajectory import read_trajectory
from tests.memory.toy_memory import Colours, Words, every_byte, fact, opened, png

ECHO = ("--env", "mmi_agent.testing:EchoEnvironment:kiwi")
KNOWS = ("--policy", "cli_policies:KnowsTheWord", "--approve", "send")


@pytest.fixture(autouse=True)
def cheap_embedders(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmi_agent.memory import store

    monkeypatch.setattr(store, "_minilm", Words)
    monkeypatch.setattr(store, "_eyes", Colours)


def test_the_owner_sees_corrects_and_removes(mmi: Mmi) -> None:
    Path("red.png").write_bytes(png("red"))
    code, out, err = mmi("memory", "add", "m", "the invoices are under Reports", "--picture", "red.png", "--cue", " ")
    assert (code, err) == (0, "")
    first = out.strip()
    second = mmi("memory", "add", "m", "press\x1b[31m save twice", "--kind", "skill").out.strip()
    listed = mmi("memory", "list", "m").out.splitlines()
    assert len(listed) == 2
    assert "\x1b" not in "".join(listed)
    assert mmi("memory", "list", "m", "--kind", "skill").out.split()[0] == second
    shown = mmi("memory", "show", "m", first[:8]).out
    assert "trust: user" in shown
    assert "picture: m/pictures/" in shown
    assert "invoices" in mmi("memory", "recall", "m", "where are the invoices?", "-k", "1").out
    assert first[:30] in mmi("memory", "recall", "m", "--picture", "red.png").out
    third = mmi("memory", "edit", "m", first[:8], "-", given="the invoices are under Billing").out.strip()
    found = json.loads(mmi("memory", "recall", "m", "invoices are", "-k", "1", "--json").out)
    assert (found["item"]["id"], found["item"]["supersedes"]) == (third, [first])
    assert mmi("memory", "forget", "m", third[:8]).out == "forgotten: 2 items\n"
    assert b"invoices" not in every_byte(Path("m"))
    assert not list(Path("m/pictures").glob("*.png"))
    assert "rebuilt: 1 items" in mmi("memory", "rebuild", "m").out


def test_the_id_and_the_time_of_a_strangers_item_move_no_cursor(mmi: Mmi) -> None:
    with opened(Path("m")) as memory:
        memory.remember(fact("evil words", id="\x1b[2J\x1b[31mEVIL\nforged", time="2026-01-01\x1b10:00:00+00:00"))
    for command in (("list", "m"), ("recall", "m", "evil"), ("show", "m", "\x1b[2J")):
        code, out, err = mmi("memory", *command)
        assert (code, err) == (0, "")
        assert "EVIL forged" in out
        assert "\x1b" not in out


def test_a_memory_is_carried_in_one_file(mmi: Mmi) -> None:
    mmi("memory", "add", "m", "the sky is blue")
    assert mmi("memory", "export", "m", "m.zip").out == "exported: 1 items to m.zip\n"
    assert mmi("memory", "import", "n", "m.zip", "--trust", "screen").out == "imported: 1 items; 0 were there already\n"
    assert json.loads(mmi("memory", "list", "n", "--json").out)["trust"] == "screen"


def test_runs_recall_and_are_remembered(mmi: Mmi) -> None:
    assert mmi("run", *ECHO, *KNOWS, "--memory", "m").code == 0
    assert mmi("memory", "list", "m", "--kind", "skill").out.count("\n") == 1
    assert mmi("run", *ECHO, *KNOWS, "--memory", "m").code == 0
    assert mmi("run", *ECHO, *KNOWS, "--memory", "m", "--examples", "0").code == 0
    recalled = [read_trajectory(run).steps[0].intent.recalled for run in sorted(Path("runs").iterdir())]
    assert [len(ids) for ids in recalled] == [0, 1, 0]
    before = mmi("memory", "list", "m").out
    assert mmi("memory", "learn", "m", "runs").out.startswith("learnt: 0 items from 3 runs")
    assert mmi("memory", "list", "m").out == before


def test_a_damaged_run_is_left_out_and_those_after_it_are_learnt(mmi: Mmi) -> None:
    for _ in range(4):
        assert mmi("run", *ECHO, *KNOWS).code == 0
    _, edited, changed, last = sorted(Path("runs").iterdir())
    trajectory = edited / "trajectory.jsonl"
    trajectory.write_bytes(trajectory.read_bytes().replace(b"kiwi", b"plum"))
    next(changed.glob("pictures/*.png")).write_bytes(png("red"))
    code, out, err = mmi("memory", "learn", "m", "runs")
    assert (code, out) == (1, "learnt: 6 items from 2 runs\n")
    first, second, told = err.splitlines()
    assert f"left out {edited}: {trajectory}: line 1 was edited" in first
    assert f"left out {changed}: the picture" in second
    assert told == "error: of 4 runs 2 could not be read and were left out"
    assert f'"run":"{last.name}"' in mmi("memory", "list", "m", "--json").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("list", "nowhere"), "nowhere holds no memory: mmi memory add nowhere TEXT begins one"),
        (("show", "m", "zz"), "unknown item 'zz'"),
        (("forget", "m", ""), "an empty id names no item"),
        (("add", "m", "x" * 1_000_001), "1,000,001 characters are more than the 1,000,000 that are kept"),
        (("add", "m", " "), "it has neither a text nor a picture"),
        (("edit", "m", "kept", ""), "it has neither a text nor a picture"),
        (("add", "m", "text", "--kind", "dream"), "this cannot be remembered: kind"),
        (("add", "m", "text", "--picture", "text.txt"), "are not a picture"),
        (("list", "m", "--trust", "god"), "--trust 'god' is none of user, agent, screen"),
        (("recall", "m"), "a query needs a text or a picture"),
        (("import", "m", "text.txt"), "text.txt is no export of a memory"),
        (("learn", "m", "m"), "there is no run in m"),
        (("rebuild", "nowhere"), "nowhere holds no memory"),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(mmi: Mmi, arguments: tuple[str, ...], told: str) -> None:
    Path("text.txt").write_text("no picture")
    with opened(Path("m")) as memory:
        memory.remember(fact("kept", id="kept"))
    before = Path("m/items.jsonl").read_bytes()
    code, out, err = mmi("memory", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert told in err
    assert err.count("\n") == 1
    assert Path("m/items.jsonl").read_bytes() == before
    assert not Path("nowhere").exists()


def test_an_evaluation_compares_with_and_without_memory(mmi: Mmi) -> None:
    code, _, err = mmi("eval", *ECHO, "--policy", "random", "--memory", "nowhere")
    assert (code, err) == (1, "error: nowhere holds no memory: mmi memory learn nowhere RUN... makes one\n")
