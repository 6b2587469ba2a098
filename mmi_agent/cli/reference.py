"""Writes docs/cli.md from the commands' own help: `python -m mmi_agent.cli.reference > docs/cli.md`."""

from collections.abc import Iterator

from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from mmi_agent.cli.app import app

__all__ = ["reference"]

_INTRODUCTION = """\
# The command line

What each command's `--help` says; this page is made by `python -m mmi_agent.cli.reference > docs/cli.md`.
"""


def reference() -> str:
    """The page."""
    return "\n".join([_INTRODUCTION, *_sections()])


def _commands(command: object, name: str = "") -> Iterator[str]:
    """The name of every command that does something by itself, and the empty one of `mmi`."""
    if not isinstance(command, TyperGroup):
        yield name
        return
    if not name or command.invoke_without_command:
        yield name
    for each, inner in command.commands.items():
        yield from _commands(inner, f"{name} {each}".strip())


def _sections() -> Iterator[str]:
    for command in _commands(get_command(app)):
        shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="mmi", env={"COLUMNS": "80"})
        yield f"## mmi {command}".rstrip() + f"\n\n```text\n{shown.output.strip()}\n```\n"


if __name__ == "__main__":
    print(reference(), end="")
