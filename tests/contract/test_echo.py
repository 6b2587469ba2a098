"""The contract test, on the world that is made for tests, and on ones that break it."""

from typing import Any

import pytest

from mmi_agent import FunctionTool, NoArguments, Observation, Outcome, Verdict
from mmi_agent.testing import EchoEnvironment, check_environment


def test_echo_keeps_to_the_contract() -> None:
    check_environment(EchoEnvironment)
    check_environment(lambda: EchoEnvironment("fig"), task="Send the word fig.")


class Restless(EchoEnvironment):
    looks = 0

    def observe(self) -> Observation:
        type(self).looks += 1
        return super().observe().model_copy(update={"text": f"look {self.looks}"})


class Twins(EchoEnvironment):
    def observe(self) -> Observation:
        seen = super().observe()
        return seen.model_copy(update={"elements": (seen.elements[0], seen.elements[0])})


class Hoarder(EchoEnvironment):
    def reset(self, *args: Any, **options: Any) -> Observation:
        return super().reset(*args, **{**options, "pictures": self._pictures})


class Judged(EchoEnvironment):
    def verdict(self) -> Verdict | None:
        return Verdict(success=False, reward=0.0)


class Mute(EchoEnvironment):
    def __init__(self) -> None:
        super().__init__()
        act = FunctionTool(name="Do It", description="", args_schema=NoArguments, run=lambda _: Outcome())
        self.tools = [act]


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (Restless, "two looks with no act between say the same"),
        (Twins, r"marks are distinct: \[1, 1\]"),
        (Hoarder, "is in the store that `reset` was given"),
        (Judged, "a new episode has no verdict yet"),
        (Mute, "'Do It' is a snake_case word"),
    ],
)
def test_what_breaks_the_contract_is_named(environment: Any, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_environment(environment)
