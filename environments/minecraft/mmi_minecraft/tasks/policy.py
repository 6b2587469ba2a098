"""The solution of a problem as a policy: its runs are ordinary ones, recorded as any other."""

from collections.abc import Callable, Iterator

from mmi_agent.policy import Context
from mmi_agent.tool import FINISH
from mmi_agent.types import Block, Text, ToolCall
from mmi_minecraft.tasks.problem import Act

__all__ = ["ExpertPolicy"]


class ExpertPolicy:
    """Solves the problem that was posed last, with the ordinary tools.

    Args:
        solve: Begins its solution.
    """

    name = "expert"

    def __init__(self, solve: Callable[[], Iterator[Act]]) -> None:
        self._solve = solve
        self._acts: Iterator[Act] = iter(())

    def decide(self, context: Context) -> Iterator[Block]:
        """Writes one short thought and the call; finishes where there is nothing more to do."""
        if context.step == 0:
            self._acts = self._solve()
        act = next(self._acts, None)
        if act is None:
            yield ToolCall(name=FINISH.name, arguments={"answer": "the expert did all that it knows"})
            return
        yield Text(text=act.thought)
        yield act.call
