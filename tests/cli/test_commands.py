import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from cli_answers import Mmi

from mmi_agent.cli.reference import reference
from mmi_agent.cli.text import printable, shortened
from mmi_agent.policies import POLICIES, check_policy, make_policy

ECHO = "mmi_agent.testing:EchoEnvironment:kiwi"
ROOT = Path(__file__).parents[2]


def test_help_is_fast_and_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "playwright", "transformers", "jinja2", "PIL")
    program = (
        "import sys\nfrom mmi_agent.cli import main\nsys.argv = ['mmi', '--help']\n"
        f"try: main()\nfinally: print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr == "[]\n"
    assert "Compare policies on tasks" in done.stdout
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 0.5  # not of the clock: others may run


def test_the_documentation_is_what_help_says() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference(), (
        "run: python -m mmi_agent.cli.reference > docs/cli.md"
    )


def test_view_writes_the_page_where_it_is_told(mmi: Mmi) -> None:
    mmi("run", "--env", ECHO, "--policy", "first-element", "--max-steps", "1")
    (folder,) = Path("runs").iterdir()
    code, out, _ = mmi("view", str(folder))
    assert (code, out) == (0, f"{folder / 'run.html'}\n")
    code, out, _ = mmi("view", str(folder / "trajectory.jsonl"), "--out", "page.html", "--json")
    assert (code, json.loads(out)) == (0, {"page": "page.html", "steps": 1, "damage": ""})
    assert Path("page.html").read_text().startswith("<!DOCTYPE html>")


def test_view_says_where_a_run_is_damaged_and_shows_the_rest_if_asked(mmi: Mmi) -> None:
    mmi("run", "--env", ECHO, "--policy", "first-element", "--max-steps", "1")
    (folder,) = Path("runs").iterdir()
    path = folder / "trajectory.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"outcome"', b'"outcone"'))
    code, _, err = mmi("view", str(folder))
    assert code == 1
    assert "line 3 was edited or damaged" in err
    assert err.count("\n") == 1
    code, out, _ = mmi("view", str(folder), "--damaged")
    assert code == 0
    assert "line 3 was edited or damaged" in Path(out.strip()).read_text()


def test_eval_prints_a_table_and_goes_on_with_the_same_command(mmi: Mmi) -> None:
    command = (
        "eval",
        "--env",
        ECHO,
        "--policy",
        "random",
        "--policy",
        "first-element",
        "--seeds",
        "2",
        "--out",
        "study",
    )
    code, out, _ = mmi(*command, "--max-steps", "2")
    assert code == 0
    assert "mean over tasks" in out
    assert "report: study/index.html" in out
    code, out, _ = mmi(*command, "--max-steps", "2", "--json")
    assert (code, json.loads(out)["episodes_done"]) == (0, 4)
    code, _, err = mmi(*command, "--max-steps", "3")
    assert code == 1
    assert "other max_steps" in err
    assert mmi("eval", "--env", f"{ECHO[:-4]}nope", "--policy", "random", "--seeds", "1", "--out", "none")[0] == 1
    assert mmi("eval", "--env", ECHO, "--policy", "tiny@nope", "--seeds", "1")[0] == 1
    assert not Path("none").exists() and not list(Path("runs").iterdir()), "what never began leaves nothing"
    code, _, err = mmi("view", "study")
    assert (code, err) == (1, "error: study is an evaluation, not a run: open study/index.html\n")


def test_env_list_describes_what_is_registered(mmi: Mmi) -> None:
    code, out, _ = mmi("env", "list", "--json")
    assert code == 0
    for each in json.loads(out):
        assert set(each) == {"name", "description", "missing", "tasks"}
    code, out, _ = mmi("env", "list", "mmi_gui.miniwob:MiniWobEnvironment")
    assert code == 0


def test_doctor_says_what_is_missing(mmi: Mmi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMI_CHROMIUM", "no-such-browser")
    monkeypatch.setenv("MMI_CACHE", str(tmp_path / "cache"))
    code, out, _ = mmi("doctor", "--json")
    report = json.loads(out)
    checks = {check["name"]: check for check in report["checks"]}
    assert code == 1
    assert not report["ready"]
    assert checks["Python"]["status"] == "ok"
    assert checks["browser"]["status"] == "missing"
    assert checks["weights"]["status"] == "note"
    assert checks["runs"]["status"] == "ok"
    code, out, _ = mmi("doctor", "--runs-dir", "/proc/no")
    assert code == 1
    assert "name another folder with --runs-dir" in out


def test_every_named_policy_is_known_and_the_light_ones_load_no_torch() -> None:
    for name in (*POLICIES, "small:channel"):
        check_policy(name)
    program = (
        "import sys\nfrom mmi_agent.policies import make_policy\nmake_policy('random'), make_policy('first-element')"
    )
    program += "\nassert 'torch' not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


@pytest.mark.parametrize("name", ["tiny", "tiny:decode"])
def test_a_model_is_a_policy(name: str) -> None:
    assert make_policy(name).name == ("tiny:channel" if name == "tiny" else name)


def test_printable_text_moves_no_cursor() -> None:
    assert printable("a\tb\x1b[2J\u202ec\ud800\0") == "a b\ufffd[2J\ufffdc\ufffd\ufffd"
    assert shortened("one\n two  three", 9) == "one two …"


@pytest.mark.parametrize(
    ("redirection", "code", "told"), [(">&-", 0, ""), (">/dev/full", 1, "error: No space left on")]
)
def test_an_output_that_takes_nothing_is_no_bug_of_ours(redirection: str, code: int, told: str) -> None:
    command = f"exec {sys.executable} -m mmi_agent.cli env list mmi_agent.testing:EchoEnvironment {redirection}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr[: len(told)]) == (code, told)
    assert done.stderr.count("\n") == code
