"""Policies that worker processes of the tests import by path."""

import os
import signal
import time
from collections.abc import Iterator

from mmi_agent.errors import CheckpointError
from mmi_agent.policy import Context
from mmi_agent.types import Block, ToolCall


class KnowsTheWord:
    """Types the word that the instruction names and sends it: solves the task in two steps."""

    name = "knows"

    def __init__(self) -> None:
        self.usage = {"read": 10, "reused": 30}

    def decide(self, context: Context) -> Iterator[Block]:
        word = context.instruction.split('"')[1]
        yield ToolCall(name="type_text", arguments={"text": word}) if not context.step else ToolCall(name="send")


class Slow(KnowsTheWord):
    name = "slow"

    def decide(self, context: Context) -> Iterator[Block]:
        time.sleep(0.25)
        yield from super().decide(context)


class DiesAtSeedOne(KnowsTheWord):
    name = "dies"

    def decide(self, context: Context) -> Iterator[Block]:
        if context.seed // 1_000_003 == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().decide(context)


class HangsAtSeedOne(KnowsTheWord):
    name = "hangs"

    def decide(self, context: Context) -> Iterator[Block]:
        if context.seed // 1_000_003 == 1:
            time.sleep(600)
        yield from super().decide(context)


class Breaks:
    name = "breaks"

    def decide(self, context: Context) -> Iterator[Block]:
        raise RuntimeError("no idea")


class NoWeights:
    def __init__(self) -> None:
        raise CheckpointError("the weights are damaged")


class DiesLoading:
    def __init__(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
