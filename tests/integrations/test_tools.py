"""Tools of LangChain and of real MCP servers in our loop: called as they are, and asked about before they act."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool

from mmi_agent.agent.approval import AllowListed
from mmi_agent.agent.limits import Limits
from mmi_agent.agent.runtime import Agent
from mmi_agent.agent.trajectory import Trajectory, read_trajectory
from mmi_agent.errors import ConfigError, ToolError, UnknownNameError
from mmi_agent.integrations.mcp import McpServer
from mmi_agent.testing import EchoEnvironment, ScriptedPolicy
from mmi_agent.tool import Tool, effect_of, invoke

_SERVER = str(Path(__file__).with_name("mcp_server.py"))
_STDIO = {"transport": "stdio", "command": sys.executable, "args": [_SERVER, "stdio"]}


@pytest.fixture(scope="module")
def http_address() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, _SERVER, "http", str(port)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, "the server did not start"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(10)


def _run(tools: list[Tool], calls: list[Any], folder: Path, allowed: list[str]) -> Trajectory:
    agent = Agent(
        ScriptedPolicy(calls),
        EchoEnvironment("fig"),
        approver=AllowListed(allowed),
        limits=Limits(fresh_s=30),
        tools=tools,
    )
    agent.run(folder=folder)
    return read_trajectory(folder)


def _outcomes(trajectory: Trajectory) -> list[tuple[str, str]]:
    return [(s.result.outcome.status, s.result.outcome.text) for s in trajectory.steps if s.result]


@tool
def weigh(thing: str, times: int = 1) -> str:
    """Weigh something."""
    return f"{thing}: {times * 3} g"


def test_a_langchain_tool_fits_as_it_is_and_is_asked_about(tmp_path: Path) -> None:
    assert isinstance(weigh, BaseTool) and effect_of(weigh) == "consequential"
    calls = [("weigh", {"thing": "fig", "times": 2}), ("weigh", {"thing": "fig", "times": "two"})]
    allowed = _outcomes(_run([weigh], calls, tmp_path / "yes", ["weigh"]))
    assert allowed[0] == ("done", "fig: 6 g") and allowed[1][0] == "invalid" and "times" in allowed[1][1]
    assert _outcomes(_run([weigh], calls, tmp_path / "no", []))[0][0] == "denied"


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_tools_of_an_mcp_server_are_tools_of_the_loop(transport: str, http_address: str, tmp_path: Path) -> None:
    connection = _STDIO if transport == "stdio" else {"transport": "http", "url": http_address}
    with McpServer(connection, name="counter") as server:
        by_name = {found.name: found for found in server.tools}
        assert set(by_name) == {"counter_add", "counter_look", "counter_refuse"}
        assert {effect_of(found) for found in server.tools} == {"consequential"}  # whatever the server says
        calls = [
            ("counter_add", {"number": 2}),
            ("counter_add", {"number": 3}),
            ("counter_look", {}),
            ("counter_refuse", {}),
            ("counter_add", {"number": "3"}),
            ("counter_add", {}),
        ]
        trajectory = _run([*server.tools], calls, tmp_path / "run", list(by_name))
        denied = _outcomes(_run([*server.tools], calls[:1], tmp_path / "denied", []))
    outcomes = _outcomes(trajectory)
    assert outcomes[:2] == [("done", "the counter is at 2"), ("done", "the counter is at 5")]
    assert outcomes[3][0] == "failed" and "the counter is locked" in outcomes[3][1]
    assert [status for status, _ in outcomes[4:6]] == ["invalid", "invalid"]
    assert denied[0][0] == "denied"
    looked = trajectory.steps[2].result
    assert looked and [(p.width_px, p.height_px) for p in looked.outcome.pictures] == [(8, 4)]
    assert (trajectory.folder / "pictures" / f"{looked.outcome.pictures[0].digest}.png").is_file()


def test_the_owner_may_say_what_a_tool_can_do_and_a_server_that_is_gone_is_said_so() -> None:
    with McpServer(_STDIO, effects={"look": "observe"}) as server:
        effects = {found.name: effect_of(found) for found in server.tools}
        assert effects == {"add": "consequential", "look": "observe", "refuse": "consequential"}
    with pytest.raises(ToolError, match="is gone"):
        invoke(server.tools[0], {"number": 1})


def test_a_server_that_does_not_start_is_one_line() -> None:
    with pytest.raises(ConfigError, match="the MCP server no-such-program does not answer"):
        McpServer({"transport": "stdio", "command": "no-such-program", "args": []}).__enter__()
    with pytest.raises(UnknownNameError, match="did you mean 'look'"):
        McpServer(_STDIO, effects={"loook": "observe"}).__enter__()
