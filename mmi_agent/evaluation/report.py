"""Writes what an evaluation found: `results.json` for machines, `table.md` for papers, `index.html` to look at."""

import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from mmi_agent.errors import MMIError
from mmi_agent.evaluation.failures import FAILURES, Failure, failure_of
from mmi_agent.evaluation.plan import EvaluationConfig
from mmi_agent.evaluation.results import EpisodeResult
from mmi_agent.evaluation.statistics import Summary, summarise
from mmi_agent.evaluation.tables import as_markdown, table_of
from mmi_agent.viewer import read_intact, render_run, write_text
from mmi_agent.viewer.page import render_template

__all__ = ["write_report"]


@dataclass(frozen=True, kw_only=True)
class _Link:
    """A page of one episode."""

    label: str
    success: bool
    address: str
    task: str


def write_report(root: Path, config: EvaluationConfig, results: Sequence[EpisodeResult]) -> Path:
    """Writes the report of a study into its folder.

    Each policy's first success and first failure of each kind has a page of its own, for every task.

    Returns:
        The page to open.

    Raises:
        TrajectoryError: If it cannot be written.
    """
    summary = summarise(config, results)
    write_text(json.dumps(_as_json(config, summary), indent=2) + "\n", root / "results.json")
    write_text(as_markdown(table_of(summary)), root / "table.md")
    links = {(result.policy, result.environment): list[_Link]() for result in results}
    failed: dict[tuple[str, Failure], list[_Link]] = {}
    for result in _examples(results):
        if link := _write_run_page(root, result):
            links[result.policy, result.environment].append(link)
            if kind := failure_of(result):
                failed.setdefault((result.policy, kind), []).append(link)
    page = render_template(
        "evaluation.html.j2",
        study=root.resolve().name,
        config=config,
        summary=summary,
        table=table_of(summary),
        links=links,
        failed=failed,
        meanings=FAILURES,
    )
    write_text(page, root / "index.html")
    return root / "index.html"


def _as_json(config: EvaluationConfig, summary: Summary) -> dict[str, JsonValue]:
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "mmi_agent": _version(),
        "machine": {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()},
        "config": config.to_json(),
        "episodes_done": summary.done,
        **summary.to_json(),
    }


def _version() -> str:
    try:
        return version("mmi-agent")
    except PackageNotFoundError:
        return "not installed"


def _examples(results: Iterable[EpisodeResult]) -> Iterator[EpisodeResult]:
    """Yields the first success and the first failure of each kind, of each policy on each task."""
    seen: set[tuple[str, str, Failure | None]] = set()
    for result in results:
        kind = result.policy, result.environment, failure_of(result)
        if result.run and kind not in seen:
            seen.add(kind)
            yield result


def _write_run_page(root: Path, result: EpisodeResult) -> _Link | None:
    assert result.run
    path = Path("pages", *Path(result.run).parts[1:]).with_suffix(".html")
    if not (root / path).exists():
        try:
            run, damage = read_intact(root / result.run)
            write_text(render_run(run, warnings=(damage,) if damage else ()), root / path)
        except MMIError:
            return None  # a run that cannot be read has its figures in the table all the same
    return _Link(
        label=f"seed {result.seed}: {failure_of(result) or 'solved'}",
        success=result.success,
        address=quote(path.as_posix()),
        task=result.environment.rpartition(":")[2],
    )
