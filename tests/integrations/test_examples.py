"""The examples as a user runs them; and what they stand for, checked in this process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_EXAMPLES = Path(__file__).parents[2] / "examples"


def _run(name: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(_EXAMPLES / name), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return {"said": done.stdout, **json.loads(done.stdout.splitlines()[-1])}


def test_a_graph_is_interrupted_for_approval_and_resumed_and_pictures_are_not_in_its_checkpoints() -> None:
    by_digest = _run("langgraph_agent.py")
    assert by_digest["asked"] == 1 and "asked: send {} -> approved" in by_digest["said"]
    assert by_digest["verdict"].startswith("sent ")
    inline = _run("langgraph_agent.py", "--inline")
    same = ("messages", "pictures", "asked", "verdict")
    assert [inline[name] for name in same] == [by_digest[name] for name in same]
    assert by_digest["pictures"] >= 3
    saved = inline["checkpointed_bytes"] - by_digest["checkpointed_bytes"]
    assert saved > 4 * by_digest["picture_bytes"]  # each picture stood in many checkpoints, a third larger


def test_langchains_own_agent_works_in_a_world_and_is_denied_what_nobody_approved() -> None:
    result = _run("create_agent.py", "--max-calls", "3")
    assert len(result["calls"]) == 3 and result["pictures_in_tool_results"] == 3
    assert result["verdict"] is None or "send" not in result["calls"]


@pytest.mark.browser
def test_langchains_own_agent_works_in_a_browser() -> None:
    result = _run("create_agent.py", "--env", "gui/miniwob:click-test", "--max-calls", "2", "--approve", "click")
    assert result["calls"] and result["pictures_in_tool_results"] == len(result["calls"])


@pytest.mark.browser
def test_a_graph_works_in_a_browser_for_longer_than_a_window_is_wide() -> None:
    """A model of random weights uses up its calls; each shows a screen, and they do not fit its window together."""
    result = _run("langgraph_agent.py", "--env", "gui/miniwob:click-test", "--max-calls", "12")
    assert result["verdict"] or result["messages"] == 25
