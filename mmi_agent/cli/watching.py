"""Shows a run as it happens: for a person line by line, for a machine as JSON lines."""

import sys
from collections.abc import Iterable
from json import dumps as dump_json
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.text import Text as Styled

from mmi_agent.agent.events import Acted, Called, Ended, Event, Observed, Run, Wrote
from mmi_agent.agent.trajectory import Intent
from mmi_agent.cli.errors import INTERRUPTED
from mmi_agent.cli.text import printable, shortened
from mmi_agent.types import Text, Verdict

__all__ = ["exit_code", "watch"]

_TONES = {"done": "green", "failed": "red", "invalid": "red", "denied": "yellow", "in_doubt": "yellow"}
_NOT_DONE = 3


def exit_code(run: Run) -> int:
    """0 where the run finished and was not judged a failure, 130 after Ctrl-C, 1 after an error, 3 otherwise."""
    match run.status:
        case "finished":
            return _NOT_DONE if run.verdict and not run.verdict.success else 0
        case "stopped":
            return INTERRUPTED
        case "error":
            return 1
        case _:
            return _NOT_DONE


def watch(events: Iterable[Event], folder: Path, *, json: bool) -> int:
    """Prints a run while it goes on.

    Args:
        events: The run.
        folder: Where it is recorded.
        json: Whether to print one JSON object a line and event; the last one, "ended", sums the run up.

    Returns:
        What the process exits with.
    """
    show = _print_json if json else _Live(Console(), folder).show
    run: Run | None = None
    for event in events:
        show(event)
        run = event.run if isinstance(event, Ended) else run
    assert run, "a run tells its end"
    if run.status == "error":
        print(f"error: {shortened(run.reason, 600)}", file=sys.stderr)
    return exit_code(run)


def _print_json(event: Event) -> None:
    print(dump_json(_as_json(event)), flush=True)


class _Live:
    def __init__(self, console: Console, folder: Path) -> None:
        self._console = console
        self._folder: Path | None = folder
        self._intent: Intent | None = None

    def show(self, event: Event) -> None:
        if self._folder:
            self._console.print(Styled(f"recorded in {printable(str(self._folder))}"), soft_wrap=True)
            self._folder = None
        match event:
            case Observed():
                self._observed(event)
            case Wrote(block=Text() as text):
                self._line("│ ", printable(text.text).replace("\n", "\n  │ "), "italic")
            case Wrote():
                self._line("│ ", "drew a picture", "italic")
            case Called():
                self._intent = event.intent
                self._called(event.intent)
            case Acted():
                self._acted(event)
            case Ended():
                self._ended(event.run)

    def _line(self, lead: str, text: str, style: str = "") -> None:
        self._console.print(Styled.assemble("  ", (lead, "dim"), (text, style)), soft_wrap=True)

    def _observed(self, event: Observed) -> None:
        seen = event.observation
        size = f", {seen.pictures[0].width_px} x {seen.pictures[0].height_px} px" if seen.pictures else ""
        what = f" sees {len(seen.elements)} elements{size}"
        self._console.print(Styled.assemble((f"{event.step + 1}", "bold"), (what, "dim")))

    def _called(self, intent: Intent) -> None:
        if intent.call is None:
            return
        arguments = ", ".join(f"{name}={dump_json(value)}" for name, value in intent.call.arguments.items())
        target = f"  {intent.target.role} {intent.target.name!r}" if intent.target else ""
        line = Styled.assemble(
            "  ",
            ("→ ", "dim"),
            (printable(intent.call.name), "bold cyan"),
            shortened(f"({arguments})", 300),
            (shortened(target, 80) and f"  {shortened(target, 80)}", "dim"),
        )
        self._console.print(line, soft_wrap=True)

    def _acted(self, event: Acted) -> None:
        outcome, intent = event.result.outcome, self._intent
        times = f"{intent.observe_ms:.0f} / {intent.decide_ms:.0f} / {event.result.act_ms:.0f} ms" if intent else ""
        line = Styled.assemble(
            "  ",
            ("· ", "dim"),
            (outcome.status.replace("_", " "), _TONES[outcome.status]),
            f" {shortened(outcome.text, 300)}",
            (f"  {times}", "dim"),
        )
        self._console.print(line, soft_wrap=True)

    def _ended(self, run: Run) -> None:
        tone = "green" if exit_code(run) == 0 else "yellow"
        line = Styled.assemble(
            (run.status.replace("_", " "), f"bold {tone}"),
            f" after {run.steps} {'step' if run.steps == 1 else 'steps'}",
            _judged(run.verdict),
            ("" if run.status == "error" else f"  {shortened(run.reason, 300)}", "dim"),
        )
        self._console.print(line, soft_wrap=True)
        if run.answer:
            self._console.print(Styled(printable(run.answer)), soft_wrap=True)
        self._console.print(Styled(f"look at it: mmi view {quote(str(run.folder))}"), soft_wrap=True)
        if run.steps and run.status in ("max_steps", "stopped", "needs_user", "error"):
            self._console.print(Styled(f"go on:      mmi resume {quote(str(run.folder))}"), soft_wrap=True)


def _judged(verdict: Verdict | None) -> Styled:
    if verdict is None:
        return Styled("")
    tone = "bold green" if verdict.success else "bold red"
    return Styled(f", {'solved' if verdict.success else 'not solved'} (reward {verdict.reward:.2f})", tone)


def _as_json(event: Event) -> dict[str, object]:
    match event:
        case Observed():
            seen = event.observation
            return {"event": "observed", "step": event.step, "elements": len(seen.elements), "text": seen.text}
        case Wrote():
            return {"event": "wrote", "step": event.step, "block": event.block.model_dump(mode="json")}
        case Called(intent=intent):
            kept = intent.model_dump(
                mode="json", include={"call", "target", "approval", "observe_ms", "decide_ms", "usage"}
            )
            return {"event": "called", "step": event.step, **kept}
        case Acted(result=result):
            kept = result.model_dump(mode="json", include={"outcome", "verdict", "act_ms"})
            return {"event": "acted", "step": event.step, **kept}
        case Ended(run=run):
            verdict = run.verdict.model_dump(mode="json") if run.verdict else None
            return {
                "event": "ended",
                "folder": str(run.folder),
                "status": run.status,
                "steps": run.steps,
                "verdict": verdict,
                "reason": run.reason,
                "answer": run.answer,
            }
