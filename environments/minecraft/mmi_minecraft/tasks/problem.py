"""What a task asks for in one episode: the plot as it stands at first, the words, and when it is done.

All tasks share one plot of a flat world, where one stands at a height of 5. x runs east, y up, z south.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from mmi_agent.types import ToolCall
from mmi_minecraft.block_state import BlockState
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.server.player import Player
from mmi_minecraft.server.practice import GameMode

__all__ = ["FEET", "GROUND", "PLOT", "Act", "Goal", "Problem", "Solution", "Task", "World"]

GROUND = 4
"""The height of the topmost layer of the ground."""

FEET = GROUND + 1
"""The height of the feet of somebody who stands on it."""

PLOT = Position(2, 2, 2), Position(29, 14, 29)
"""The corners of what is set up, and judged."""


class Act(NamedTuple):
    """One step of a solution: the thought in a few words, and the call."""

    thought: str
    call: ToolCall


@dataclass(frozen=True)
class World:
    """What the server says.

    Attributes:
        blocks: The plot; its origin is its place in the world.
        items: What the player carries, and how many of each.
    """

    blocks: Blueprint
    items: Mapping[str, int]

    def __getitem__(self, at: tuple[int, int, int]) -> BlockState:
        """The block of a cell of the plot."""
        return self.blocks[Position(*at).minus(self.blocks.origin)]


Goal = Callable[[World], Iterator[str]]
"""Names what is not yet as it was asked for; nothing once all is."""

Solution = Callable[[Player], Iterator[Act]]
"""Solves the problem with the ordinary tools, and may look behind the picture for it."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A task as one seed poses it.

    Attributes:
        instruction: What is to be done.
        goal: When it is done.
        solution: How it can be done.
        start: Where the player stands at first.
        site: What it looks at then.
        blocks: What stands on the flat ground, or in it.
        items: What the player carries.
        game_mode: In creative mode every block is at hand, and one can fly.
    """

    instruction: str
    goal: Goal
    solution: Solution
    start: Position
    site: Position
    blocks: Mapping[Position, str] = field(default_factory=dict[Position, str])
    items: Mapping[str, int] = field(default_factory=dict[str, int])
    game_mode: GameMode = "survival"


Task = Callable[[Random], Problem]
"""Draws a problem."""
