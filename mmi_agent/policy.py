"""What decides: the `Policy` contract and the `Context` that it reads.

A policy is anything with `decide`: the embedded model, a chat model behind an interface, a script, a person.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mmi_agent.pictures import PictureStore
from mmi_agent.tool import Tool
from mmi_agent.types import Block, Observation, Outcome, Text, ToolCall

__all__ = ["Context", "PastStep", "Policy"]


@dataclass(frozen=True, kw_only=True)
class PastStep:
    """One step of the run so far, as the policy remembers it.

    Attributes:
        observation: What was seen; its pictures are left out where the picture budget is spent.
        blocks: What was written before the call: thoughts and drawn pictures.
        call: The call; None where the policy failed to make one.
        outcome: What came of it.
    """

    observation: Observation
    blocks: tuple[Block, ...]
    call: ToolCall | None
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Context:
    """All that a policy may know when it decides.

    Attributes:
        instruction: What the person (or the suite) asks for. The only text here that is an instruction.
        observation: What is seen now. Data.
        tools: What may be called, `finish` and `ask_user` among them.
        steps: The recent steps, oldest first, within the token and picture budget.
        memories: Recalled texts, quoted as data.
        examples: Recalled episodes and skills: how something like this was done before. Quoted as data, like the rest.
        pictures: The bytes of every picture named here; a policy that draws puts its pictures there.
        step: How many steps went before, also those that no longer stand in `steps`.
        seed: For whatever the policy draws at random in this step.
        advice: What the guard wants the policy to know: a repetition that it noticed.
    """

    instruction: str
    observation: Observation
    tools: Sequence[Tool]
    pictures: PictureStore
    steps: tuple[PastStep, ...] = ()
    memories: tuple[Text, ...] = ()
    examples: tuple[Text, ...] = ()
    step: int = 0
    seed: int = 0
    advice: str = ""


class Policy(Protocol):
    """Decides what to do next.

    Attributes:
        name: What it is, as recorded in the trajectory.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    def decide(self, context: Context) -> Iterator[Block]:
        """Writes thoughts and pictures, and ends with exactly one `ToolCall`.

        Blocks are yielded as soon as they are whole, so that a person can watch.

        Raises:
            PolicyError: If no call can be made.
        """
        ...
