"""Policies that the commands under test import by path."""

import time
from collections.abc import Iterator

from mmi_agent.policy import Context
from mmi_agent.types import Block, Text, ToolCall


class KnowsTheWord:
    """Types the word that the instruction names and sends it."""

    name = "cli_policies:KnowsTheWord"

    def decide(self, context: Context) -> Iterator[Block]:
        word = context.instruction.split('"')[1]
        yield Text(text="\x1b[31mThe word is clear.\x1b]0;owned\x07")
        yield ToolCall(name="type_text", arguments={"text": word}) if not context.step else ToolCall(name="send")


class Asks:
    name = "cli_policies:Asks"

    def decide(self, context: Context) -> Iterator[Block]:
        if "The person answered: kiwi" in context.instruction:
            yield ToolCall(name="finish", arguments={"answer": "thanks"})
        else:
            yield ToolCall(name="ask_user", arguments={"question": "Which word?"})


class AsksAsAnExpert(Asks):
    name = "expert"


class Ponders:
    name = "cli_policies:Ponders"

    def decide(self, context: Context) -> Iterator[Block]:
        yield Text(text="pondering")
        time.sleep(60)
        yield ToolCall(name="finish")
