"""A world as a toolkit: what its tools answer, and that nothing that matters passes without a yes to this very call."""

from collections.abc import Iterator
from typing import Any

import pytest

from mmi_agent.agent.approval import ApprovalRequest, Approver, DenyAll
from mmi_agent.errors import ConfigError
from mmi_agent.integrations.toolkit import EnvironmentToolkit
from mmi_agent.testing import EchoEnvironment


def _begun(approver: Approver | None = None, **fields: Any) -> EnvironmentToolkit:
    toolkit = EnvironmentToolkit(make=lambda: EchoEnvironment("fig"), approver=approver, **fields)
    toolkit.reset(seed=3)
    return toolkit


def _call(toolkit: EnvironmentToolkit, name: str, **arguments: Any) -> list[dict[str, Any]]:
    tool = next(tool for tool in toolkit.get_tools() if tool.name == name)
    message = tool.invoke({"type": "tool_call", "id": "1", "name": name, "args": arguments})
    return message.content_blocks


@pytest.fixture
def toolkit() -> Iterator[EnvironmentToolkit]:
    made = _begun()
    yield made
    made.close()


def test_a_tool_answers_with_what_came_of_it_and_with_the_screen(toolkit: EnvironmentToolkit) -> None:
    outcome, picture, screen = _call(toolkit, "type_text", text="fig")
    assert outcome["text"] == "done. the field now holds 'fig'"
    assert picture["type"] == "image" and picture["mime_type"] == "image/png" and picture["base64"]
    assert "field: fig" in screen["text"]
    effects = {tool.name: (tool.metadata or {})["effect"] for tool in toolkit.get_tools()}
    assert effects["send"] == "consequential" and effects["scroll"] == "observe"


def test_what_matters_is_denied_unless_this_very_call_is_approved() -> None:
    asked: list[ApprovalRequest] = []

    def stale(request: ApprovalRequest) -> object:
        asked.append(request)
        return asked[0].approve("somebody")

    for approver in (None, DenyAll(), lambda request: "yes", stale):  # pyright: ignore[reportUnknownLambdaType]
        toolkit = _begun(approver)
        if approver is stale:
            assert _call(toolkit, "send")[0]["text"].startswith("done. sent ''")  # on the screen that was asked about
            toolkit.reset(seed=4)
        assert _call(toolkit, "send")[0]["text"].startswith("denied. not carried out")
        assert toolkit.verdict is None
        toolkit.close()


def test_an_approved_call_brings_the_verdict() -> None:
    toolkit = _begun(lambda request: True)
    _call(toolkit, "type_text", text="fig")
    told = [block["text"] for block in _call(toolkit, "send") if block["type"] == "text"]
    assert told[:2] == ["done. sent 'fig'", "The episode is over: sent 'fig', wanted 'fig'"]
    assert toolkit.verdict.success
    toolkit.close()


def test_bad_calls_are_outcomes_and_a_world_that_was_not_begun_is_one_line(toolkit: EnvironmentToolkit) -> None:
    assert "invalid. the element 77 is not there" in _call(toolkit, "press", mark=77)[0]["text"]
    with pytest.raises(ConfigError, match="call reset first"):
        EnvironmentToolkit(make=EchoEnvironment).get_tools()
    named = EnvironmentToolkit.named("gui/no-such-world")
    with pytest.raises(LookupError):
        named.reset()
