"""An evaluation as a table: the same rows for the terminal, for Markdown and for the page."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from mmi_agent.evaluation.failures import FAILURES
from mmi_agent.evaluation.statistics import PolicySummary, Rate, Summary

__all__ = ["Table", "as_markdown", "table_of"]


class Table(NamedTuple):
    """Rows of text; the first column names the row.

    Attributes:
        header: The column heads.
        tasks: A row for each task.
        totals: Rows over all tasks, and over those of each suite.
        failures: A row for each kind of failure that occurs.
    """

    header: list[str]
    tasks: list[list[str]]
    totals: list[list[str]]
    failures: list[list[str]]


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
        totals=[
            *_suites(summary),
            *([label, *map(show, policies)] for label, show in _TOTALS),
            *_comparisons(policies),
        ],
        failures=[
            [kind, *(str(policy.failures.get(kind, 0)) for policy in policies)]
            for kind in FAILURES
            if any(kind in policy.failures for policy in policies)
        ],
    )


def as_markdown(table: Table) -> str:
    """Writes a table as Markdown."""
    rule = ["---", *(["---:"] * (len(table.header) - 1))]
    rows = [table.header, rule, *table.tasks, *([f"**{label}**", *rest] for label, *rest in table.totals)]
    rows += [[f"failed: {kind}", *rest] for kind, *rest in table.failures]
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


def _suites(summary: Summary) -> Iterator[list[str]]:
    """The figures of each suite, where there are several."""
    policies = list(summary.policies.values())
    names = list(policies[0].suites) if policies else []
    for name in names if len(names) > 1 else []:
        rates = [policy.suites[name] for policy in policies]
        yield [f"{name}: solved", *(f"{rate.successes}/{rate.episodes}" for rate in rates)]
        yield [f"{name}: mean over tasks", *(f"{100 * rate.mean_success:.1f} %" for rate in rates)]
        yield [f"{name}: 95 % interval", *map(_interval, rates)]


def _comparisons(policies: Sequence[PolicySummary]) -> Iterator[list[str]]:
    """How the others differ from the first policy on the same episodes."""
    if any(policy.comparison for policy in policies):
        against = next(policy.comparison.against for policy in policies if policy.comparison)
        yield [f"less {against}, points", *map(_difference, policies)]


def _difference(policy: PolicySummary) -> str:
    if policy.comparison is None:
        return "-"
    low, high = policy.comparison.interval
    return f"{100 * policy.comparison.difference:+.1f} ({100 * low:+.0f} to {100 * high:+.0f})"


def _interval(rate: Rate | PolicySummary) -> str:
    low, high = rate.interval
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
