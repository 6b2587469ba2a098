"""MineDojo: its tasks, in its simulator, which runs in a Python environment and a process of its own."""

from mmi_minecraft.minedojo.action import Action
from mmi_minecraft.minedojo.environment import MineDojoEnvironment, minedojo_tasks
from mmi_minecraft.minedojo.installation import minedojo_python
from mmi_minecraft.minedojo.java import check_game_can_start
from mmi_minecraft.minedojo.tools import call_of

__all__ = ["Action", "MineDojoEnvironment", "call_of", "check_game_can_start", "minedojo_python", "minedojo_tasks"]
