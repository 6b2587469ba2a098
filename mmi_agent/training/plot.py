"""Curves of training runs as one page that needs nothing else: inline SVG, raw and smoothed, runs over each other."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, cast

from mmi_agent.errors import ConfigError
from mmi_agent.training.log import read_log
from mmi_agent.whole_file import write_whole

__all__ = ["Curve", "curves_of", "plot"]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # told apart by all eyes
_WIDTH, _HEIGHT, _LEFT, _BELOW = 760, 260, 64, 28
_POINTS = 1500  # a curve of more is thinned out
_SMOOTHING = 50  # of the length of a curve: a part of it that the mean goes over

_PANELS = {
    "loss": "loss",
    "text_loss": "token loss, in nats",
    "picture_loss": "picture loss",
    "held_back.loss": "token loss of what is held back, in nats",
    "held_back.accuracy": "right tokens of what is held back",
    "held_back.exact": "exact answers of what is held back",
    "lr": "learning rate",
    "grad_norm": "gradient norm",
    "tokens_per_s": "tokens a second",
}


class Curve(NamedTuple):
    """A figure of a run over its steps."""

    run: str
    points: list[tuple[int, float]]

    def smoothed(self) -> list[tuple[int, float]]:
        """Each point the mean of those before it, the nearer the more."""
        share = 1 / max(1, len(self.points) // _SMOOTHING)
        mean = self.points[0][1] if self.points else 0.0
        smooth: list[tuple[int, float]] = []
        for step, value in self.points:
            mean += share * (value - mean)
            smooth.append((step, mean))
        return smooth


def curves_of(folders: Sequence[Path]) -> dict[str, list[Curve]]:
    """Reads the curves of runs, by figure.

    Raises:
        ConfigError: If a folder has no log, or no step was done yet.
    """
    curves: dict[str, list[Curve]] = {name: [] for name in _PANELS}
    for folder in folders:
        entries = list(read_log(folder))
        if not entries:
            raise ConfigError(f"{folder}: no step is done yet, there is nothing to plot")
        for name in _PANELS:
            points = [
                (int(entry["step"]), float(value)) for entry in entries if (value := _value(entry, name)) is not None
            ]
            if points:
                curves[name].append(Curve(str(folder), points))
    return {name: found for name, found in curves.items() if found}


def plot(folders: Sequence[Path], out: Path) -> None:
    """Writes the page.

    Raises:
        ConfigError: If a folder has no log, or no step was done yet.
        OSError: If the page cannot be written.
    """
    runs = [str(folder) for folder in folders]
    legend = " ".join(f'<span style="color:{_colour(runs, run)}">&#9632; {escape(run)}</span>' for run in runs)
    panels = "\n".join(
        f"<h2>{escape(_PANELS[name])}</h2>\n{_panel(curves, runs)}" for name, curves in curves_of(folders).items()
    )
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(", ".join(runs))}</title>
<style>body {{ font: 15px system-ui, sans-serif; max-width: {_WIDTH + 40}px; margin: 2em auto; padding: 0 1em }}
h2 {{ font-size: 1em; margin: 1.5em 0 .3em }} svg {{ width: 100%; height: auto }} text {{ font-size: 11px; fill: #555 }}
.raw {{ opacity: .25 }} path {{ fill: none; stroke-width: 1.5 }} .grid {{ stroke: #ddd; stroke-width: 1 }}</style>
<h1>Training</h1>
<p>{legend}</p>
{panels}
</html>
"""
    write_whole(out, page.encode())


def _value(entry: dict[str, Any], name: str) -> Any:
    """A figure of a line, as of "loss" or "held_back.loss"; None where the line does not have it."""
    value: Any = entry
    for key in name.split("."):
        value = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
    return value


def _colour(runs: Sequence[str], run: str) -> str:
    return _COLOURS[runs.index(run) % len(_COLOURS)]


def _panel(curves: Sequence[Curve], runs: Sequence[str]) -> str:
    values = [value for curve in curves for _, value in curve.points]
    last = max(step for curve in curves for step, _ in curve.points)
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    low, high = (low if high > low else low - span / 2), (high if high > low else high + span / 2)

    def place(step: float, value: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT) * step / max(last, 1)
        return f"{x:.1f},{(_HEIGHT - _BELOW) * (high - value) / (high - low) + 6:.1f}"

    def path(points: Sequence[tuple[int, float]], colour: str, kind: str) -> str:
        thinned = points[:: max(1, len(points) // _POINTS)]
        return f'<path class="{kind}" stroke="{colour}" d="M{" L".join(place(*point) for point in thinned)}"/>'

    lines: list[str] = []
    for quarter in range(5):
        value = low + (high - low) * quarter / 4
        y = place(0, value).partition(",")[2]
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{y}" y2="{y}"/>')
        lines.append(f'<text x="{_LEFT - 6}" y="{y}" dy="4" text-anchor="end">{value:.4g}</text>')
        x = _LEFT + (_WIDTH - _LEFT) * quarter / 4
        anchor = "end" if quarter == 4 else "middle"
        lines.append(f'<text x="{x:.1f}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{last * quarter / 4:g}</text>')
    for curve in curves:
        colour = _colour(runs, curve.run)
        lines += [path(curve.points, colour, "raw"), path(curve.smoothed(), colour, "smooth")]
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(lines)}</svg>'
