"""Turns a trajectory into HTML: one file, no network, no scripts but our own, everything from the run escaped.

What a run holds was written by pages and models. The template escapes all of it, and the page's own content security
policy lets nothing run but the script whose hash it names, so that a slip in the one is caught by the other.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mmi_agent.agent.trajectory import Resume, Step, Trajectory, pictures_in
from mmi_agent.errors import TrajectoryError
from mmi_agent.types import Picture, Text, clean_text
from mmi_agent.viewer.scene import Scene, scene_of
from mmi_agent.whole_file import write_whole

__all__ = ["render_run", "render_template", "write_text"]

_PHASES = ("observe", "decide", "act")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One step as the page shows it.

    Attributes:
        number: Counted from 1.
        step: The step.
        scenes: The observation's pictures; boxes are drawn on the first.
        thoughts: What was written and drawn before the call, in order.
        phases_ms: Milliseconds by phase.
        resumes: Processes that took the run up right before it.
    """

    number: int
    step: Step
    scenes: tuple[Scene, ...]
    thoughts: tuple[Text | Picture, ...]
    phases_ms: dict[str, float]
    resumes: tuple[Resume, ...]

    @property
    def outcome(self) -> str:
        """The outcome's status; a step that nobody concluded is in doubt."""
        return self.step.result.outcome.status if self.step.result else "in_doubt"

    @property
    def total_ms(self) -> float:
        """How long the step took."""
        return sum(self.phases_ms.values())

    def bars(self) -> Iterator[tuple[str, float, float]]:
        """Yields each phase with the left edge and the width of its part of a bar that is 100 wide."""
        left = 0.0
        for phase, spent_ms in self.phases_ms.items():
            width = 100 * spent_ms / (self.total_ms or 1)
            yield phase, round(left, 3), round(width, 3)
            left += width


def render_run(run: Trajectory, *, warnings: tuple[str, ...] = ()) -> str:
    """Renders a run as one HTML page.

    Args:
        run: The run.
        warnings: What the reader has to know before trusting the page.
    """
    images, faults = _images(run)
    if run.torn_bytes:
        faults.append(f"The last line is torn ({run.torn_bytes} bytes): its process died while writing it.")
    last = run.end.observation if run.end else None
    return render_template(
        "run.html.j2",
        run=run,
        start=run.start,
        end=run.end,
        steps=tuple(_shown(run)),
        last_scenes=tuple(scene_of(picture) for picture in last.pictures) if last else (),
        late_resumes=_resumes_after(run, run.steps[-1].intent.time if run.steps else ""),
        images=images,
        warnings=(*warnings, *faults),
        duration_s=_duration_s(run),
        tokens=_tokens(run),
    )


def render_template(template: str, **values: Any) -> str:
    """Renders one of this folder's templates with the common style and script."""
    script = _asset("page.js")
    return (
        _templates()
        .get_template(template)
        .render(
            style=Markup(_asset("page.css")),
            script=Markup(script),
            style_hash=_csp_hash(_asset("page.css")),
            script_hash=_csp_hash(script),
            **values,
        )
    )


def write_text(text: str, path: Path) -> None:
    """Writes a file whole or not at all.

    Raises:
        TrajectoryError: If it cannot be written.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise TrajectoryError(f"cannot write {path}: {error.strerror}") from error


def _shown(run: Trajectory) -> Iterator[Shown]:
    before = ""
    for number, step in enumerate(run.steps, start=1):
        intent = step.intent
        first, *others = intent.observation.pictures or (None,)
        scenes = [scene_of(first, intent.observation.elements, intent, run.start.tools)] if first else []
        yield Shown(
            number=number,
            step=step,
            scenes=(*scenes, *(scene_of(picture) for picture in others if picture)),
            thoughts=tuple(block for block in intent.blocks if isinstance(block, (Text, Picture))),
            phases_ms=_phases_ms(step),
            resumes=_resumes_between(run, before, intent.time),
        )
        before = intent.time


def _phases_ms(step: Step) -> dict[str, float]:
    act_ms = step.result.act_ms if step.result else 0.0
    return dict(zip(_PHASES, (step.intent.observe_ms, step.intent.decide_ms, act_ms), strict=True))


def _resumes_between(run: Trajectory, after: str, until: str) -> tuple[Resume, ...]:
    return tuple(resume for resume in run.resumes if after < resume.time <= until)


def _resumes_after(run: Trajectory, time: str) -> tuple[Resume, ...]:
    return tuple(resume for resume in run.resumes if resume.time > time)


def _images(run: Trajectory) -> tuple[dict[str, tuple[Picture, str]], list[str]]:
    """Reads every picture that the run names, each once.

    Returns:
        By digest, the picture and its bytes as a data URI; and what is wrong with pictures, in words.
    """
    lines = [line for step in run.steps for line in (step.intent, step.result) if line]
    named = [picture for line in (*lines, *([run.end] if run.end else [])) for picture in pictures_in(line)]
    images: dict[str, tuple[Picture, str]] = {}
    faults: list[str] = []
    for picture in dict((picture.digest, picture) for picture in named).values():
        try:
            data = run.pictures.get(picture.digest)
        except (KeyError, OSError):
            faults.append(f"The picture {picture.digest[:12]} is missing from the run's folder.")
            continue
        if hashlib.sha256(data).hexdigest() != picture.digest:
            faults.append(f"The picture {picture.digest[:12]} was changed after the run and is left out.")
            continue
        images[picture.digest] = picture, f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return images, faults


def _duration_s(run: Trajectory) -> float:
    """From the first line to the last; a run that was taken up again counts the pause as well."""
    times = [run.start.time, *(step.intent.time for step in run.steps)]
    times += [step.result.time for step in run.steps if step.result]
    latest = run.end.time if run.end else max(times)
    return (datetime.fromisoformat(latest) - datetime.fromisoformat(run.start.time)).total_seconds()


def _tokens(run: Trajectory) -> dict[str, int]:
    tokens: dict[str, int] = {}
    for step in run.steps:
        for kind, count in step.intent.usage.items():
            tokens[kind] = tokens.get(kind, 0) + count
    return tokens


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("mmi_agent.viewer"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_presentable,
    )
    templates.filters["duration"] = _duration
    templates.filters["compact_json"] = _compact_json
    return templates


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _presentable(value: object) -> object:
    """Makes any text encodable; what is trusted markup stays that."""
    return clean_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _compact_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _duration(milliseconds: float) -> str:
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
