"""A run as a sample: what the policy read and wrote, token for token; and which runs are none."""

import re
from pathlib import Path
from typing import Any

import pytest

from mmi_agent import Text, ToolCall
from mmi_agent.calls import call_text
from mmi_agent.data.mixing import Mixture
from mmi_agent.data.readers import fingerprint, open_data
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import DataError
from mmi_agent.evaluation import EvaluationConfig, Study
from mmi_agent.inference.prompts import ChatPrompt, Special, encode_content
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.testing import EchoEnvironment, ScriptedPolicy
from mmi_agent.types import Picture
from tests.agent.worlds import run

SAID = "Now the word."
CALLS: list[Any] = [
    [Text(text="The first\n word."), ToolCall(name="press", arguments={"mark": 1})],
    ("press", {"mark": 99}),  # there is none: refused
    ("scroll", {"rows": 1}),
    [Text(text=SAID), ToolCall(name="type_text", arguments={"text": "fig"})],
    ("send", {}),
]


def record(folder: Path, calls: list[Any] = CALLS, **options: Any) -> ScriptedPolicy:
    policy = ScriptedPolicy(calls)
    run(policy, EchoEnvironment("fig"), folder, **options)
    return policy


def only(folder: Path, **options: Any) -> Sample:
    (sample,) = open_data(folder, **options)
    assert isinstance(sample, Sample), sample
    return sample


@pytest.mark.parametrize("look", [True, False])
@pytest.mark.parametrize("limits", [{}, {"context_pictures": 2}, {"context_tokens": 700}])
def test_a_run_is_what_its_policy_read_and_wrote_token_for_token(
    tmp_path: Path, look: bool, limits: dict[str, int]
) -> None:
    policy = record(tmp_path / "run", limits=limits)
    tokenizer = Tokenizer.byte_level()
    sample = only(tmp_path / "run", look=look)
    units = encode_content([part.content for part in sample.parts], tokenizer)
    last = policy.contexts[-1]
    read = ChatPrompt(tokenizer, look=look).decision(last)
    assert len(last.steps) < 4 or limits != {"context_tokens": 700}
    assert sum(bool(step.observation.pictures) for step in last.steps) < 4 or limits != {"context_pictures": 2}
    assert units[: len(read)] == read
    call = ToolCall(name="send", arguments={})
    written = [
        *tokenizer.encode(f"\n{call_text(call, {}, last.observation)}"),
        tokenizer.end_of_turn,
        *tokenizer.encode("\n"),
    ]
    assert units[len(read) :][: len(written)] == written
    assert any(isinstance(part.content, Picture) for part in sample.parts) == look


def test_what_was_decided_is_learnt_and_what_was_refused_is_only_read(tmp_path: Path) -> None:
    record(tmp_path / "run", [*CALLS[:4], ("finish", {"answer": "A fig."})])
    sample = only(tmp_path / "run", runs="all")
    learnt = [part.content for part in sample.parts if part.learnt]
    texts = "".join(content if isinstance(content, str) else "|" for content in learnt)
    assert all(isinstance(content, (str, Special)) for content in learnt)
    assert texts.split("|") == [
        'The first word.\n{"tool":"press","arguments":{"mark":"button olive [1]"}}',
        '\n{"tool":"scroll","arguments":{"rows":1}}',
        f'{SAID}\n{{"tool":"type_text","arguments":{{"text":"fig"}}}}',
        '\n{"tool":"finish","arguments":{"answer":"A fig."}}',
        "",
    ]
    assert any(isinstance(part.content, str) and '"mark":99' in part.content for part in sample.parts)


def test_one_of_four_who_were_stopped_learns_to_stop(tmp_path: Path) -> None:
    for number in range(24):
        record(tmp_path / str(number), [("type_text", {"text": "fig"}), ("send", {})])
    texts = [
        "".join(part.content for part in sample.parts if isinstance(part.content, str))
        for sample in open_data(tmp_path, look=False)
        if isinstance(sample, Sample)
    ]
    assert len(texts) == 24
    stopping = [text for text in texts if '{"tool":"finish"' in text]
    assert 0 < len(stopping) < 16  # each of 24 with a chance of a quarter: else less than once in a thousand
    for text in stopping:
        assert text.rindex("Outcome: done.") < text.index('{"tool":"finish"'), "it has seen what came of its last call"
        assert text.rstrip().endswith('The task is done.\n{"tool":"finish","arguments":{"answer":"Done."}}')


class _TypedAlready(EchoEnvironment):
    def _begin(self, task: str | None, seed: int) -> None:
        super()._begin(task, seed)
        self._field = "fig"


def test_nobody_learns_to_stop_after_a_single_call(tmp_path: Path) -> None:
    for number in range(24):
        run(ScriptedPolicy([("send", {})]), _TypedAlready("fig"), tmp_path / str(number))
    for sample in open_data(tmp_path, look=False):
        assert isinstance(sample, Sample)
        assert not any(isinstance(part.content, str) and '{"tool":"finish"' in part.content for part in sample.parts)


def broken(folder: Path, **options: Any) -> str:
    (found,) = open_data(folder, **options)
    assert isinstance(found, Broken)
    assert "\n" not in found.reason
    return f"{found.source}: {found.reason}"


def test_a_run_that_cannot_be_trusted_is_broken_and_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    record(folder)
    file = folder / "trajectory.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"fig"', b'"pig"'))
    assert re.search(r"^run/trajectory.jsonl: .* line \d+ was edited or damaged", broken(folder))
    file.write_bytes(b"\n".join(whole.split(b"\n")[:5]) + b"\n")
    assert broken(folder).endswith("the run did not end: resume it, or leave it out")
    file.write_bytes(whole)
    picture = next((folder / "pictures").glob("*.png"))
    kept = picture.read_bytes()
    picture.write_bytes(kept[:-20])
    assert broken(folder).endswith(f"the picture {picture.stem[:12]} was changed after the run")
    picture.unlink()
    assert broken(folder).endswith(f"the picture {picture.stem[:12]} is missing")
    assert only(folder, look=False)  # who does not look does not miss it
    picture.write_bytes(kept)
    assert only(folder)


def test_only_examples_are_learnt_from_unless_it_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    record(folder / "failed", [("type_text", {"text": "kiwi"}), ("send", {})])
    assert "the run failed: sent 'kiwi', wanted 'fig'" in broken(folder)
    assert "the run failed" in broken(folder, runs="finished")
    assert only(folder, runs="all")


def test_what_an_evaluation_recorded_or_a_baseline_decided_is_no_demonstration(tmp_path: Path) -> None:
    environments = ("mmi_agent.testing:EchoEnvironment:kiwi",)
    given = EvaluationConfig(environments=environments, policies=("first-element",), seeds=(0, 1))
    with Study(tmp_path / "runs" / "study", given) as study:
        assert len(list(study.run(workers=1))) == 2
    measured = open_data(tmp_path / "runs")
    assert len(measured) == 0 and "mmi eval recorded" in measured.left_out and measured.left_out.endswith(": 2")
    with pytest.raises(DataError, match="holds no sample; runs that mmi eval recorded"):
        Mixture([(measured, None)], seed=0)

    record(tmp_path / "runs" / "own")
    before = fingerprint(tmp_path / "runs")
    record(tmp_path / "runs" / "study" / "runs" / "more")
    assert fingerprint(tmp_path / "runs") == before, "a run goes on whatever is measured meanwhile"
    assert only(tmp_path / "runs").source == "runs/own/trajectory.jsonl"
    assert len(open_data(tmp_path / "runs" / "study" / "runs")) == 0, "wherever below it one begins"
    assert len(open_data(tmp_path / "runs", runs="all")) == 4

    lucky = ScriptedPolicy(CALLS)
    lucky.name = "random"
    run(lucky, EchoEnvironment("fig"), tmp_path / "lucky")
    assert "decided by 'random'" in broken(tmp_path / "lucky")
    assert only(tmp_path / "lucky", runs="all")


def test_a_run_that_nobody_judged_is_taken_where_that_is_asked_for(tmp_path: Path) -> None:
    record(tmp_path / "run", [("scroll", {"rows": 1}), ("finish", {"answer": "done"})])
    assert "nobody judged the run: it has no verdict" in broken(tmp_path / "run")
    assert only(tmp_path / "run", runs="finished")
    record(tmp_path / "short" / "run", limits={"max_steps": 2})
    assert broken(tmp_path / "short", runs="finished").endswith("the run ended as 'max_steps', not as finished")


def test_runs_are_found_wherever_in_a_folder_they_are(tmp_path: Path) -> None:
    for name in ("b", "a/1", "a/2"):
        record(tmp_path / "runs" / name)
    record(tmp_path / "runs" / ".unfinished" / "c")
    reader = open_data(tmp_path / "runs")
    assert (reader.form, len(reader)) == ("trajectory", 3)
    assert [sample.source for sample in reader] == [f"runs/{name}/trajectory.jsonl" for name in ("a/1", "a/2", "b")]
    one = open_data(tmp_path / "runs/b/trajectory.jsonl")
    assert [sample.source for sample in one] == ["b/trajectory.jsonl"]
