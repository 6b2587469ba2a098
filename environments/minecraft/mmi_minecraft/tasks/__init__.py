"""Tasks to practise on a server, each with a solution: `minecraft/practice:fence-pen` and others.

Whether a task is solved, the server's own blocks and the player's inventory say, and never a picture.
"""

from mmi_minecraft.tasks.catalogue import HELD_OUT, TASKS
from mmi_minecraft.tasks.environment import PracticeEnvironment, practice_tasks
from mmi_minecraft.tasks.policy import ExpertPolicy
from mmi_minecraft.tasks.problem import Act, Problem, Task, World

__all__ = [
    "HELD_OUT",
    "TASKS",
    "Act",
    "ExpertPolicy",
    "PracticeEnvironment",
    "Problem",
    "Task",
    "World",
    "practice_tasks",
]
