"""An evaluation as a table: the same rows for the terminal, for Markdown and for the page."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mmi_agent.evaluation.statistics import PolicySummary, Summary

__all__ = ["Table", "as_markdown", "table_of"]


class Table(NamedTuple):
    """Rows of text; the first column names the row.

    Attributes:
        header: The column heads.
        tasks: A row for each task.
        totals: Rows over all tasks.
    """

    header: list[str]
    tasks: list[list[str]]
    totals: list[list[str]]


def table_of(summary: Summary) -> Table:
    """Lays the figures out."""
    policies = list(summary.policies.values())
    shared = _shared_world(summary.environments)
    return Table(
        header=[shared or "task", *summary.policies],
        tasks=[
            [name.removeprefix(f"{shared}:"), *(_cell(policy, name) for policy in policies)]
            for name in summary.environments
        ],
        totals=[[label, *map(show, policies)] for label, show in _TOTALS],
    )


def as_markdown(table: Table) -> str:
    """Writes a table as Markdown."""
    rule = ["---", *(["---:"] * (len(table.header) - 1))]
    rows = [table.header, rule, *table.tasks, *([f"**{label}**", *rest] for label, *rest in table.totals)]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |\n" for row in rows)


def _shared_world(environments: Sequence[str]) -> str:
    """The environment whose tasks these all are; empty if they are of several."""
    worlds = {name.rpartition(":")[0] for name in environments}
    return worlds.pop() if len(worlds) == 1 else ""


def _cell(policy: PolicySummary, environment: str) -> str:
    cell = policy.cells.get(environment)
    if cell is None:
        return "-"
    return f"{cell.successes}/{cell.episodes}" + (f" ({cell.errors} errors)" if cell.errors else "")


def _interval(policy: PolicySummary) -> str:
    low, high = policy.interval
    return f"{100 * low:.0f} - {100 * high:.0f} %"


def _times(policy: PolicySummary) -> str:
    return " / ".join(f"{policy.median_ms[phase]:.0f}" for phase in ("observe", "decide", "act"))


def _reuse(policy: PolicySummary) -> str:
    return "-" if policy.reuse_ratio is None else f"{100 * policy.reuse_ratio:.0f} %"


_TOTALS: tuple[tuple[str, Callable[[PolicySummary], str]], ...] = (
    ("solved", lambda policy: f"{policy.successes}/{policy.episodes}"),
    ("mean over tasks", lambda policy: f"{100 * policy.mean_success:.1f} %"),
    ("95 % interval", _interval),
    ("mean steps", lambda policy: f"{policy.mean_steps:.1f}"),
    ("ms: observe / decide / act", _times),
    ("tokens reused", _reuse),
)
