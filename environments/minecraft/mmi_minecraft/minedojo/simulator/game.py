"""Which game MineDojo plays in: one that runs already, or one that it starts."""

from __future__ import annotations

import os
import subprocess
import sys


class Fault(Exception):  # noqa: N818 - said to the other side, where it becomes an error
    """What the other side is told in one line.

    Args:
        kind: "config", "action" or "world".
        message: What was wrong, what was expected, what to do.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def use_running_game(port: int) -> None:
    """Has the next episode played in a Malmo client that runs already, on this machine."""
    from minedojo.sim.bridge.mc_instance.manager import InstanceManager

    try:
        InstanceManager.add_existing_instance(port)
    except AssertionError as error:
        raise Fault("config", f"nothing listens at localhost:{port}: expected a Malmo client of MineDojo") from error


def use_own_game() -> None:
    """Has the next episode played in a game that it starts.

    MineDojo starts its watchdog as a module, which imports all of MineDojo first; as a file it imports nothing.
    """
    from minedojo.sim.bridge.utils import watchdog

    def launch(owner: int, game: int, *folders: str) -> None:
        program = [sys.executable, "-I", watchdog.__file__]  # -I: there is a `logging.py` beside it
        subprocess.check_call([*program, str(owner), str(game), f"--{watchdog.CHILD_DIR_ARG}", *folders])

    watchdog.launch = launch
    if not os.environ.get("DISPLAY"):
        os.environ["MINEDOJO_HEADLESS"] = "1"
