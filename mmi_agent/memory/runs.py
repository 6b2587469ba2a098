"""What a recorded run is remembered as: an episode for each step, a skill where it worked, a fact where it answered.

All of it holds words of a screen, so all of it is trusted as a screen is. Ids follow from the run: to remember a run
again, as after it was resumed, keeps nothing twice.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from mmi_agent.agent.trajectory import Intent, Step, ToolRecord, Trajectory
from mmi_agent.calls import call_text, element_label
from mmi_agent.memory.items import MemoryItem, Source
from mmi_agent.tool import ASK_USER, FINISH
from mmi_agent.types import Observation

__all__ = ["items_of", "situation"]

_SHOWN = 12  # elements of a screen that an example lists
_CUE = 24  # elements of a screen that it is found by
_NAME = 60  # characters of an element's name, for that


def items_of(run: Trajectory) -> list[MemoryItem]:
    """The items, oldest first; none of a run without steps."""
    return [*_episodes(run), *_skill(run), *_answer(run)]


def situation(instruction: str, observation: Observation) -> str:
    """What an example is found by: the task, then the screen in words."""
    names = [" ".join(element.name.split())[:_NAME] for element in observation.actionable[:_CUE]]
    return "\n".join([instruction, ", ".join(filter(None, names))])


def _episodes(run: Trajectory) -> Iterator[MemoryItem]:
    for step in run.steps:
        intent, result = step.intent, step.result
        if result is None or intent.call is None or intent.call.name in (FINISH.name, ASK_USER.name):
            continue
        done = result.outcome.status == "done"
        yield MemoryItem(
            id=f"{_name(run)}-{intent.step}",
            kind="episode",
            text="\n".join([f"Task: {run.start.instruction}", *_told(step, run.start.tools)]),
            cue=situation(run.start.instruction, intent.observation),
            pictures=intent.observation.pictures[:1],
            trust="screen",
            environment=run.start.environment,
            success=(run.verdict.success if run.verdict else None) if done else False,
            source=_source(run, intent),
            time=result.time,
        )


def _skill(run: Trajectory) -> Iterator[MemoryItem]:
    done = [step for step in run.steps if step.result and step.result.outcome.status == "done" and step.intent.call]
    if not (done and run.end and run.verdict and run.verdict.success):
        return
    lines = [line for step in done for line in _told(step, run.start.tools)]
    first = done[0].intent
    yield MemoryItem(
        id=f"{_name(run)}-skill",
        kind="skill",
        text="\n".join([f"Task: {run.start.instruction}", *lines]),
        cue=situation(run.start.instruction, first.observation),
        pictures=first.observation.pictures[:1],
        trust="screen",
        environment=run.start.environment,
        success=True,
        source=_source(run, first),
        time=run.end.time,
    )


def _answer(run: Trajectory) -> Iterator[MemoryItem]:
    if not (run.end and run.status == "finished" and run.end.answer.strip()) or (
        run.verdict and not run.verdict.success
    ):
        return
    yield MemoryItem(
        id=f"{_name(run)}-answer",
        kind="fact",
        text=f"Task: {run.start.instruction}\nAnswer: {run.end.answer}",
        trust="screen",
        environment=run.start.environment,
        success=run.verdict.success if run.verdict else None,
        source=Source(run=run.start.run, step=run.steps[-1].intent.step if run.steps else None),
        time=run.end.time,
    )


def _name(run: Trajectory) -> str:
    """Names a run by what no other run begins with."""
    start = run.start
    begun = json.dumps([start.time, start.run, start.environment, start.seed, start.instruction])
    return hashlib.sha256(begun.encode()).hexdigest()[:16]


def _source(run: Trajectory, intent: Intent) -> Source:
    seen = intent.observation.pictures
    return Source(run=run.start.run, step=intent.step, picture=seen[0].digest if seen else "")


def _told(step: Step, tools: Iterable[ToolRecord]) -> Iterator[str]:
    """The screen in a line, the call as the model writes it, and what came of it."""
    intent, result = step.intent, step.result
    assert intent.call and result
    shown = list(intent.observation.actionable[:_SHOWN])
    if intent.target and intent.target not in shown:
        shown.append(intent.target)
    yield f"Screen: {'; '.join(map(element_label, shown))}"
    schema = next((tool.parameters for tool in tools if tool.name == intent.call.name), dict[str, Any]())
    yield call_text(intent.call, schema.get("properties", {}), intent.observation)
    yield f"Outcome: {result.outcome.status}. {result.outcome.text}".strip()
