import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from mmi_agent.agent.trajectory import read_trajectory
from mmi_agent.errors import AgentError, CheckpointError, ConfigError, TrajectoryError, UnknownNameError
from mmi_agent.evaluation import EpisodeResult, EvaluationConfig, Study, summarise, write_report
from mmi_agent.evaluation.tables import as_markdown, table_of

ECHO = "mmi_agent.testing:EchoEnvironment"
KIWI, PLUM = f"{ECHO}:kiwi", f"{ECHO}:plum"


def config(*policies: str, **changes: Any) -> EvaluationConfig:
    given: dict[str, Any] = {"environments": (KIWI,), "seeds": (0, 1, 2), "approve": ("send",)} | changes
    return EvaluationConfig(policies=policies or ("eval_policies:KnowsTheWord",), **given)


def results_of(root: Path, given: EvaluationConfig, *, workers: int = 2) -> list[EpisodeResult]:
    with Study(root, given) as study:
        list(study.run(workers=workers))
        return study.results


def test_runs_every_episode_and_leaves_ordinary_runs(tmp_path: Path) -> None:
    given = config("eval_policies:KnowsTheWord", "random", environments=(KIWI, PLUM), seeds=(0, 1))
    results = results_of(tmp_path, given)
    assert [result.episode for result in results] == given.episodes()
    knowing = results[:4]
    assert all(result.success and result.steps == 2 and result.reward == 1 for result in knowing)
    assert all(len(result.decide_ms) == 2 and result.usage == {"read": 20, "reused": 60} for result in knowing)
    for result in results:
        assert result.run
        assert read_trajectory(tmp_path / result.run).start.seed == result.seed


def test_a_policy_that_breaks_is_data(tmp_path: Path) -> None:
    results = results_of(tmp_path, config("eval_policies:Breaks", "eval_policies:KnowsTheWord"), workers=1)
    assert [result.status for result in results] == ["error"] * 3 + ["finished"] * 3
    assert "no idea" in results[0].reason


def test_a_worker_that_dies_is_data(tmp_path: Path) -> None:
    results = results_of(tmp_path, config("eval_policies:DiesAtSeedOne"))
    assert [(result.status, result.success) for result in results] == [
        ("finished", True),
        ("error", False),
        ("finished", True),
    ]
    assert "died" in results[1].reason


def test_a_worker_that_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmi_agent.evaluation.study._SLACK_S", 1.0)
    results = results_of(tmp_path, config("eval_policies:HangsAtSeedOne", max_seconds=1.0))
    assert [result.status for result in results] == ["finished", "error", "finished"]
    assert "silent" in results[1].reason


def test_what_would_break_every_episode_ends_the_study(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        results_of(tmp_path / "weights", config("eval_policies:NoWeights"))
    with pytest.raises(AgentError, match="died while they loaded"):
        results_of(tmp_path / "loading", config("eval_policies:DiesLoading"), workers=1)
    with pytest.raises(ConfigError, match="unknown word 'pizza'"):
        results_of(tmp_path / "word", config(environments=(f"{ECHO}:pizza",)))


def test_leaving_early_leaves_no_process(tmp_path: Path) -> None:
    with Study(tmp_path, config("eval_policies:Slow")) as study:
        for _ in study.run(workers=2):
            break
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(results_of(tmp_path, config("eval_policies:Slow"))) == 3


def test_goes_on_where_it_ended_and_only_with_the_same_config(tmp_path: Path) -> None:
    with Study(tmp_path, config()) as study:
        next(iter(study.run(workers=1)))
    with Study(tmp_path, config()) as study:
        assert len(study.results) == 1
        assert len(study.remaining()) == 2
        with pytest.raises(ConfigError, match="another process"):
            Study(tmp_path, config())
    with pytest.raises(ConfigError, match="other seeds and max_steps: give what it was begun with"):
        Study(tmp_path, config(seeds=(0, 1), max_steps=3))


def test_goes_on_only_with_the_weights_that_it_was_begun_with(tmp_path: Path) -> None:
    weights, study = tmp_path / "mine", tmp_path / "study"
    weights.mkdir()
    (weights / "manifest.json").write_text('{"kind": "adapter", "steps": 1}')
    given = config(f"tiny@{weights}", "tiny", "random")
    Study(study, given).__exit__()
    (weights / "manifest.json").write_text('{"kind": "adapter", "steps": 2}')
    with pytest.raises(ConfigError, match=rf"results of tiny@{weights} with other weights than"):
        Study(study, given)
    recorded = study / "evaluation.json"
    older = json.loads(recorded.read_text())
    assert set(older.pop("adapters")) == {f"tiny@{weights}"}
    recorded.write_text(json.dumps(older))
    Study(study, given).__exit__()  # from before weights were recorded
    assert set(config("small", "small:base", "random").adapters()) == {"small"}, "what comes with a preset, too"


def test_a_torn_last_result_is_run_again(tmp_path: Path) -> None:
    before = results_of(tmp_path, config())
    path = tmp_path / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    after = results_of(tmp_path, config())
    assert [(r.seed, r.success, r.steps) for r in after] == [(r.seed, r.success, r.steps) for r in before]
    assert [p.name for p in (tmp_path / "runs").rglob("*.unfinished-1")]


def test_says_what_is_wrong_with_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrajectoryError, match="cannot write an evaluation"):
        Study(tmp_path / "file", config())
    results_of(tmp_path / "study", config(seeds=(0,)))
    (tmp_path / "study" / "results.jsonl").write_text("{}\n")
    with pytest.raises(TrajectoryError, match="damaged"):
        Study(tmp_path / "study", config(seeds=(0,)))


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        ({"policies": ()}, ConfigError, "at least one policy"),
        ({"seeds": ()}, ConfigError, "at least one seed"),
        ({"seeds": (1, 1)}, ConfigError, "seed 1 is given twice"),
        ({"policies": ("rendom",)}, UnknownNameError, "did you mean 'random'"),
        ({"environments": ("mmi_agent.testing:EchoEnvironmend",)}, UnknownNameError, "EchoEnvironmend"),
    ],
)
def test_the_persons_mistakes_are_found_first(wrong: dict[str, Any], error: type[Exception], told: str) -> None:
    options: dict[str, Any] = {"environments": (KIWI,), "policies": ("random",)} | wrong
    given = EvaluationConfig(**options)
    with pytest.raises(error, match=told):
        given.check()


_PROGRAM = """
import sys, pathlib
from mmi_agent.evaluation import EvaluationConfig, Study
if __name__ == "__main__":
    config = EvaluationConfig(environments=({env!r},), policies=("eval_policies:Slow", "random"), seeds=tuple(range(4)),
                              approve=("send",), max_steps=6)
    with Study(pathlib.Path(sys.argv[1]), config) as study:
        for _ in study.run(workers=2):
            pass
"""


def test_killed_midway_it_gives_the_same_table(tmp_path: Path) -> None:
    given = config("eval_policies:Slow", "random", seeds=(0, 1, 2, 3), max_steps=6)
    whole = results_of(tmp_path / "whole", given)
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM.format(env=KIWI))
    killed = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    process = subprocess.Popen([sys.executable, str(program), str(killed)], env=environment)
    deadline = time.monotonic() + 60
    log = killed / "results.jsonl"
    while time.monotonic() < deadline and not (log.exists() and log.read_bytes().count(b"\n") >= 2):
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert psutil.wait_procs(workers, timeout=10)[1] == []  # workers die with their study
    done = log.read_bytes().count(b"\n")
    assert 0 < done < len(given.episodes())
    resumed = results_of(killed, given)

    def rows(results: list[EpisodeResult]) -> list[list[str]]:
        table = table_of(summarise(given, results))
        return [*table.tasks, *(row for row in table.totals if "ms" not in row[0])]

    assert rows(resumed) == rows(whole)
    assert len(log.read_bytes().splitlines()) == len(given.episodes())


def test_the_report_links_to_a_success_and_a_failure(tmp_path: Path) -> None:
    given = config("eval_policies:KnowsTheWord", "eval_policies:Breaks", seeds=(0, 1))
    results = results_of(tmp_path, given)
    page = write_report(tmp_path, given, results)
    html = page.read_text()
    pages = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "pages").rglob("*.html"))
    assert len(pages) == 2
    assert all(f'href="{path}"' in html for path in pages)
    figures = json.loads((tmp_path / "results.json").read_bytes())
    assert figures["policies"]["eval_policies:KnowsTheWord"]["successes"] == 2
    assert figures["policies"]["eval_policies:KnowsTheWord"]["reuse_ratio"] == 0.75
    assert figures["config"]["seeds"] == [0, 1]
    table = (tmp_path / "table.md").read_text()
    assert table == as_markdown(table_of(summarise(given, results)))
    assert "| kiwi | 2/2 | 0/2 (2 errors) |" in table


def test_each_worker_keeps_to_a_task_while_there_is_another(tmp_path: Path) -> None:
    seeds = tuple(range(6))
    given = config("eval_policies:Slow", environments=(KIWI, PLUM), seeds=seeds)
    with Study(tmp_path, given) as study:
        order = [result for result in study.run(workers=2) if isinstance(result, EpisodeResult)]
    starts = {(r.environment, r.seed): read_trajectory(tmp_path / str(r.run)).start.time for r in order}
    for task in (KIWI, PLUM):
        begun = [starts[task, seed] for seed in seeds]
        assert begun == sorted(begun)
    assert starts[PLUM, 0] < starts[KIWI, 2], "the second worker begins with the second task"
    assert {result.seed for result in order} == set(seeds)
