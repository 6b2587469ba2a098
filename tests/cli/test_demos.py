import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_answers import Mmi

from mmi_agent.agent.trajectory import read_trajectory

WORLD = "cli_demos:ShownWorld"
SEEDS = ("--seeds", "6", "--workers", "1")


def kept(out: Path, task: str) -> list[int]:
    """The seeds that were kept, each as a whole run that its world calls solved."""
    seeds: list[int] = []
    for folder in out.glob(f"{task}/*"):
        run = read_trajectory(folder)
        assert run.status == "finished" and run.verdict and run.verdict.success
        assert not run.missing_pictures() and run.start.seed == int(folder.name) and run.start.run == folder.name
        seeds.append(run.start.seed)
    return sorted(seeds)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the world of these tests."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.mark.usefixtures("importable")
def test_keeps_what_the_world_calls_solved_and_goes_on_with_what_is_missing(mmi: Mmi) -> None:
    code, out, err = mmi("demos", "collect", f"{WORLD}:kiwi", f"{WORLD}:plum", *SEEDS)
    assert code == 0
    for task in ("kiwi", "plum"):
        assert kept(Path("demos"), task) == [100_000, 100_002, 100_004]
        assert re.search(rf"{WORLD}:{task}\W+0\W+6\W+3\W+1\.0\b", out)
    assert err.count("not kept") == 6
    assert f"not kept: {WORLD}:kiwi, seed 100001: the field" in err
    assert {path.name for path in Path("demos").iterdir()} == {"kiwi", "plum"}, "nothing but runs is left"
    before = {path: path.stat().st_mtime_ns for path in Path("demos").glob("*/*/trajectory.jsonl")}

    code, out, _ = mmi("demos", "collect", f"{WORLD}:all", "--seeds", "8", "--workers", "2", "--json")
    rows = json.loads(out)
    assert [(row["task"], row["before"], row["tried"], row["kept"]) for row in rows] == [
        (f"{WORLD}:kiwi", 3, 5, 1),
        (f"{WORLD}:plum", 3, 5, 1),
    ]
    assert before.items() <= {p: p.stat().st_mtime_ns for p in Path("demos").glob("*/*/trajectory.jsonl")}.items()


@pytest.mark.usefixtures("importable")
def test_what_stands_in_the_way_of_a_run_stops_no_other(mmi: Mmi) -> None:
    for name in ("100000", "100002"):
        Path("demos/kiwi", name).mkdir(parents=True)
    Path("demos/kiwi/100000/notes.txt").touch()
    code, _, err = mmi("demos", "collect", f"{WORLD}:kiwi", *SEEDS)
    assert (code, "demos/kiwi/100000 holds no run and stands in the way" in " ".join(err.split())) == (0, True), err
    assert sorted(path.parent.name for path in Path("demos").glob("kiwi/*/trajectory.jsonl")) == ["100002", "100004"]
    Path("file").touch()
    code, out, err = mmi("demos", "collect", f"{WORLD}:kiwi", *SEEDS, "--out", "file")
    assert (code, out) == (1, "") and err.count("error: ") == 1


@pytest.mark.usefixtures("importable")
def test_refuses_what_is_held_out_unless_told(mmi: Mmi) -> None:
    code, _, err = mmi("demos", "collect", f"{WORLD}:fig")
    assert code == 1
    assert err == ("error: the task 'fig' is held out: nothing is learnt from it; --held-out collects it anyway\n")
    assert not Path("demos").exists()
    assert mmi("demos", "collect", f"{WORLD}:fig", "--held-out", "--seeds", "1")[0] == 0
    assert kept(Path("demos"), "fig") == [100_000]
    assert mmi("demos", "list", WORLD).out == "kiwi\nplum\nfig (held out)\n"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((f"{WORLD}:kiwy",), "unknown demonstrated task 'kiwy': did you mean 'kiwi'?"),
        ((WORLD,), f"'{WORLD}' names no task: say {WORLD}:TASK, or {WORLD}:all"),
        ((), "no task was named: say WORLD:TASK as in gui/miniwob:click-test, or WORLD:all"),
        (
            ("mmi_agent.testing:EchoEnvironment:kiwi",),
            "'mmi_agent.testing:EchoEnvironment:kiwi' has no experts that could show how its tasks are done",
        ),
    ],
)
def test_says_in_a_line_what_cannot_be_shown(mmi: Mmi, names: tuple[str, ...], said: str) -> None:
    assert mmi("demos", "collect", *names) == (1, "", f"error: {said}\n")


def test_ctrl_c_leaves_whole_runs_and_the_same_command_goes_on(
    start: "Callable[..., subprocess.Popen[str]]", mmi: Mmi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOW_AT", "100004")
    command = ("demos", "collect", f"{WORLD}:kiwi", "--seeds", "40", "--workers", "1")
    process = start(*command)
    while not Path("demos/kiwi/100002").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    done = kept(Path("demos"), "kiwi")
    assert 2 <= len(done) < 20
    assert re.search(rf"{WORLD}:kiwi\W+0\W+\d+\W+{len(done)}\b", out), "it says what was done all the same"
    assert not Path("demos/.unfinished").exists()
    monkeypatch.delenv("SLOW_AT")
    assert start(*command).wait(timeout=60) == 0
    assert kept(Path("demos"), "kiwi") == list(range(100_000, 100_040, 2))


def test_a_worker_that_dies_is_told_in_a_line(
    start: "Callable[..., subprocess.Popen[str]]", mmi: Mmi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIE_AT", "100003")
    process = start("demos", "collect", f"{WORLD}:kiwi", *SEEDS)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "error: a worker died; the same command goes on with what is missing" in err
    assert kept(Path("demos"), "kiwi") == [100_000, 100_002]


@pytest.mark.usefixtures("importable")
def test_two_collections_do_not_share_a_folder(
    start: "Callable[..., subprocess.Popen[str]]", mmi: Mmi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOW_AT", "100000")
    first = start("demos", "collect", f"{WORLD}:kiwi", *SEEDS)
    while not Path("demos/.unfinished/kiwi").exists():
        assert first.poll() is None
        time.sleep(0.05)
    code, _, err = mmi("demos", "collect", f"{WORLD}:kiwi", *SEEDS)
    assert code == 1
    assert "error: another process is at work in demos: wait for it, or name another folder" in err
    assert first.wait(timeout=60) == 0
    assert kept(Path("demos"), "kiwi") == [100_000, 100_002, 100_004]
