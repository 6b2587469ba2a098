import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_answers import Answer, Mmi
from typer.testing import CliRunner

from mmi_agent.cli.app import app


@pytest.fixture
def mmi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mmi:
    """Runs a command in this process, in an empty folder; nobody is at the terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: str, given: str = "") -> Answer:
        result = CliRunner().invoke(app, list(arguments), prog_name="mmi", input=given)
        return Answer(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts a command in a process of its own."""

    def begin(*arguments: str, given: Path | None = None) -> "subprocess.Popen[str]":
        path = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
        return subprocess.Popen(
            [sys.executable, "-m", "mmi_agent.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=given.open() if given else subprocess.DEVNULL,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
        )

    return begin
