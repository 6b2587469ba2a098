"""The expert as a policy: its runs are ordinary ones, recorded as any other."""

from collections.abc import Iterator

from mmi_agent.errors import PolicyError
from mmi_agent.policy import Context
from mmi_agent.tool import FINISH
from mmi_agent.types import Block, Text, ToolCall
from mmi_gui.experts.page import Act, Expert, Page

__all__ = ["ExpertPolicy"]


class ExpertPolicy:
    """Lets an expert decide.

    Args:
        expert: What knows the task.
        page: The page that it looks behind.
    """

    name = "expert"

    def __init__(self, expert: Expert, page: Page) -> None:
        self._expert = expert
        self._page = page
        self._acts: Iterator[Act] = iter(())

    def decide(self, context: Context) -> Iterator[Block]:
        """Writes one short thought and the call; finishes where the expert has nothing more to do."""
        self._page.observation = context.observation
        if context.step == 0:
            self._page.instruction = context.instruction
            self._acts = self._expert(self._page)
        try:
            act = next(self._acts, None)
        except PolicyError as error:
            yield _give_up(str(error))
            return
        if act is None:
            yield _give_up("the expert did all that it knows")
            return
        yield Text(text=act.thought)
        yield act.call


def _give_up(reason: str) -> ToolCall:
    return ToolCall(name=FINISH.name, arguments={"answer": reason})
