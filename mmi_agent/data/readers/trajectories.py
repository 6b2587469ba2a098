"""Recorded runs as samples: of each run what its policy read and wrote by the last step, the calls to be learnt.

Calls that failed or were refused are read and not learnt. A world that ends its runs by itself, as test pages do, shows
nobody how to stop: of runs that it judged done, one in four gets the call that says so, to be learnt. If all had it,
it would be the likeliest thing after any call: where nothing shows what is left to do, the model would stop too early.

A run whose file was edited, whose pictures are missing or changed, or that did not succeed is broken: it says why. One
that a baseline decided is, too: its success is luck. Runs of an evaluation are no samples: who learnt from them could
not be measured with them.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmi_agent.agent.baselines import BASELINES
from mmi_agent.agent.context import past_within
from mmi_agent.agent.limits import Limits
from mmi_agent.agent.trajectory import Step, ToolRecord, Trajectory, read_trajectory
from mmi_agent.data.readers.pointing import by_points
from mmi_agent.data.readers.reader import Reader
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import DataError, ToolError, TrajectoryError
from mmi_agent.inference.prompts import Part, run_parts
from mmi_agent.inference.sights import Look, Sight, sight_of
from mmi_agent.pictures import FolderPictures
from mmi_agent.policy import Context, PastStep
from mmi_agent.tool import FINISH
from mmi_agent.types import Effect, Outcome, Picture, Text, ToolCall

__all__ = ["TRAJECTORY", "Runs", "Trajectories", "find_demonstrations", "find_runs", "run_context"]

TRAJECTORY = "trajectory.jsonl"
_EVALUATION = "evaluation.json"  # stands in the folder of an evaluation, above its runs
_SAYS_DONE = 4  # one run in so many

Runs = Literal["successful", "finished", "all"]
"""Which runs are learnt from: those with a verdict of success; those that ended as finished and were not judged to
have failed, as where nobody judges; or all, those of evaluations and of baselines included."""


class Trajectories(Reader):
    """The runs of a folder, at any depth, one sample each.

    Args:
        folder: Holds runs, or is one.
        look: What goes in of a screen: its elements, its picture or both; pictures that do not are not missed. Where
            elements do not, the run is told by points.
        runs: Which runs are learnt from.
    """

    form = "trajectory"

    def __init__(self, folder: Path, *, look: Look = True, runs: Runs = "successful") -> None:
        self.name = str(folder)
        self._folder = folder
        self._sight: Sight = sight_of(look)
        self._runs: Runs = runs
        files = list(find_runs(folder))
        used = files if runs == "all" else list(find_demonstrations(files))
        self._found = sorted(path.parent for path in used)
        if evaluated := len(files) - len(used):
            self.left_out = f"runs that mmi eval recorded, which measure and are not learnt from: {evaluated}"

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, number: int, /) -> Sample | Broken:
        folder, source = self._found[number], self.source(number)
        try:
            run = read_trajectory(folder)
            _expect_example(run, self._runs)
            parts = tuple(run_parts(run_context(run, look=self._sight), look=self._sight))
            _expect_learnt(parts)
            _expect_pictures(parts, run.pictures)
        except (DataError, TrajectoryError) as error:
            return Broken(source=source, reason=str(error))
        return Sample(parts=parts, pictures=run.pictures, source=source)

    def source(self, number: int, /) -> str:
        """The run's file."""
        inside = self._found[number].relative_to(self._folder) / TRAJECTORY
        return f"{self._folder.resolve().name}/{inside.as_posix()}"


def find_runs(folder: Path) -> Iterator[Path]:
    """The files of the runs in a folder, at any depth; hidden folders hold what is unfinished, and are left out."""
    for path in folder.rglob(TRAJECTORY):
        if not any(name.startswith(".") for name in path.relative_to(folder).parts):
            yield path


def find_demonstrations(files: Iterable[Path]) -> Iterator[Path]:
    """Those of the files of runs that are of no evaluation, given as they were found."""
    evaluations: dict[Path, bool] = {}
    for path in files:
        above = path.resolve().parents
        for folder in reversed(above):
            evaluations.setdefault(folder, (folder / _EVALUATION).is_file())
        if not any(evaluations[folder] for folder in above):
            yield path


def run_context(run: Trajectory, *, look: Look = True) -> Context:
    """All that the policy knew when the run was over: the steps that stood in its last prompt, and the last step.

    Where the world ended the run with success, in one run of four one more step says so, about the last sight of it.
    Never after a single call: with the many tasks of one call, that teaches to stop wherever the first is done.

    Args:
        run: The run.
        look: What its policy sees; where it sees the picture alone, what was done is told by points.

    Raises:
        DataError: If the run has no step, or a step cannot be told by points and has to be.
    """
    if not run.steps:
        raise DataError("the run has no step")
    tools = [_RecordedTool.of(record) for record in run.start.tools]
    steps = [_past_step(step) for step in run.steps]
    *before, last = by_points(steps, tools) if sight_of(look) == "picture" else steps
    said = [f"The person answered: {resume.answer}" for resume in run.resumes if resume.answer]
    instruction = "\n\n".join([run.start.instruction, *said])
    kept = past_within(
        before,
        instruction=instruction,
        tools=tools,
        observation=last.observation,
        max_tokens=_limit(run, "context_tokens", Limits.context_tokens),
        max_pictures=_limit(run, "context_pictures", Limits.context_pictures),
    )
    return Context(
        instruction=instruction,
        observation=last.observation,
        tools=tools,
        pictures=run.pictures,
        steps=(*kept, last, *_said_done(run)),
        step=len(run.steps),
    )


def _past_step(step: Step) -> PastStep:
    intent = step.intent
    outcome = step.result.outcome if step.result else Outcome(status="in_doubt")
    return PastStep(observation=intent.observation, blocks=intent.blocks, call=intent.call, outcome=outcome)


def _said_done(run: Trajectory) -> Iterator[PastStep]:
    ended_by_itself = run.steps[-1].intent.call is None or run.steps[-1].intent.call.name != FINISH.name
    may_say_so = any(tool.name == FINISH.name for tool in run.start.tools)
    seen = run.end.observation if run.end and int(run.end.previous[:8], 16) % _SAYS_DONE == 0 else None
    if seen and len(run.steps) > 1 and run.verdict and run.verdict.success and ended_by_itself and may_say_so:
        yield PastStep(
            observation=seen,
            blocks=(Text(text="The task is done."),),
            call=ToolCall(name=FINISH.name, arguments={"answer": "Done."}),
            outcome=Outcome(),
        )


def _limit(run: Trajectory, name: str, default: int) -> int:
    value = run.start.limits.get(name)
    return value if isinstance(value, int) else default


def _expect_example(run: Trajectory, runs: Runs) -> None:
    verdict = run.verdict
    if runs == "all":
        return
    if run.start.policy in BASELINES:
        raise DataError(f"the run was decided by {run.start.policy!r}: where a baseline succeeds, it is luck")
    if run.status is None:
        raise DataError("the run did not end: resume it, or leave it out")
    if verdict and not verdict.success:
        raise DataError(f"the run failed: {verdict.reason or 'its verdict says so'}")
    if runs == "finished" and run.status != "finished":
        raise DataError(f"the run ended as {run.status!r}, not as finished")
    if runs == "successful" and verdict is None:
        raise DataError("nobody judged the run: it has no verdict; runs 'finished' takes it all the same")


def _expect_learnt(parts: Sequence[Part]) -> None:
    if not any(part.learnt for part in parts):
        raise DataError("no call of the run was carried out: there is nothing to learn")


def _expect_pictures(parts: Iterable[Part], pictures: FolderPictures) -> None:
    digests = dict.fromkeys(part.content.digest for part in parts if isinstance(part.content, Picture))
    for digest in digests:
        try:
            data = pictures.get(digest)
        except (KeyError, OSError) as error:
            raise DataError(f"the picture {digest[:12]} is missing") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise DataError(f"the picture {digest[:12]} was changed after the run")


@dataclass(frozen=True)
class _RecordedArguments:
    """Stands for the pydantic model of a tool's arguments, of which only the schema was recorded."""

    schema: dict[str, Any]

    @property
    def model_fields(self) -> dict[str, Any]:
        return self.schema.get("properties", {})

    def model_json_schema(self) -> dict[str, Any]:
        return self.schema


@dataclass(frozen=True, kw_only=True)
class _RecordedTool:
    """A tool of a run that is over: it can be shown, and no longer called."""

    name: str
    description: str
    args_schema: _RecordedArguments
    effect: Effect

    @classmethod
    def of(cls, record: ToolRecord) -> "_RecordedTool":
        return cls(
            name=record.name,
            description=record.description,
            args_schema=_RecordedArguments(record.parameters),
            effect=record.effect,
        )

    def invoke(self, input: Any, /) -> Any:
        raise ToolError(f"{self.name} was recorded: it cannot be called")
