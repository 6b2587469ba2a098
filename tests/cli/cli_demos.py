"""A world that can show how its tasks are done, as worker processes import it."""

import os
import signal
import time
from collections.abc import Iterator

from mmi_agent.policy import Context
from mmi_agent.testing import EchoEnvironment
from mmi_agent.types import Block, Text, ToolCall, Verdict


class Shown:
    """Solves the task at even seeds, and types something else at odd ones."""

    name = "expert"

    def decide(self, context: Context) -> Iterator[Block]:
        seed = context.seed // 1_000_003
        if seed == int(os.environ.get("SLOW_AT", "-1")):
            time.sleep(1)
        if seed == int(os.environ.get("DIE_AT", "-1")):
            os.kill(os.getpid(), signal.SIGKILL)
        word = context.instruction.split('"')[1]
        yield Text(text=f'Type "{word}".')
        yield ToolCall(name="type_text", arguments={"text": word if seed % 2 == 0 else "other"})


class ShownWorld(EchoEnvironment):
    """It judges as soon as a word stands in the field."""

    demonstrated = frozenset({"kiwi", "plum", "fig"})
    held_out = frozenset({"fig", "apple"})

    def __init__(self, task_id: str = "kiwi") -> None:
        super().__init__(task_id)

    def load(self, task_id: str) -> None:
        self._wanted_always = task_id
        self.name = f"echo:{task_id}"

    def expert(self) -> Shown:
        return Shown()

    def verdict(self) -> Verdict | None:
        right = self._field == self._wanted
        return Verdict(success=right, reward=1 if right else -1, reason="the field") if self._field else None
