"""Writes docs/cli.md from the commands' own help: `python -m mmi_agent.cli.reference > docs/cli.md`."""

from collections.abc import Iterator

from typer.testing import CliRunner

from mmi_agent.cli.app import app

__all__ = ["reference"]

_COMMANDS = (
    "",
    "generate",
    "chat",
    "run",
    "resume",
    "view",
    "eval",
    "metrics caption",
    "metrics vqa",
    "metrics refer",
    "metrics visdial",
    "metrics fid",
    "metrics clip",
    "metrics miou",
    "parity",
    "data show",
    "data check",
    "train",
    "train plot",
    "train export",
    "demos collect",
    "demos list",
    "env list",
    "env up",
    "minecraft plan",
    "minecraft convert",
    "minecraft progress",
    "memory list",
    "memory show",
    "memory recall",
    "memory add",
    "memory edit",
    "memory forget",
    "memory learn",
    "memory export",
    "memory import",
    "memory rebuild",
    "weights fetch",
    "weights convert",
    "weights verify",
    "doctor",
)
_INTRODUCTION = """\
# The command line

What each command's `--help` says; this page is made by `python -m mmi_agent.cli.reference > docs/cli.md`.
"""


def reference() -> str:
    """The page."""
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for command in _COMMANDS:
        shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="mmi", env={"COLUMNS": "80"})
        yield f"## mmi {command}".rstrip() + f"\n\n```text\n{shown.output.strip()}\n```\n"


if __name__ == "__main__":
    print(reference(), end="")
