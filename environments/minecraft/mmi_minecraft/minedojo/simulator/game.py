"""Which game MineDojo plays in: one that runs already, or one that it starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys


class Fault(Exception):  # noqa: N818 - said to the other side, where it becomes an error
    """What the other side is told in one line.

    Args:
        kind: "missing", "config", "action" or "world".
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


def check_game_can_start() -> None:
    """Asks for what MineDojo needs besides Python, before it waits for minutes and fails."""
    java = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else "java"
    found = _java_version(java)
    if found != "8":
        raise Fault(
            "missing",
            f"MineDojo plays Minecraft 1.11.2, which needs Java 8, and {java} is {found or 'not there'}: "
            "install a JDK 8 and name its folder in JAVA_HOME, or name a Malmo client that runs (localhost:PORT)",
        )
    if not os.environ.get("DISPLAY") and not shutil.which("xvfb-run"):
        raise Fault("missing", "Minecraft needs a display, and there is none: install xvfb, or set DISPLAY")
    if not os.environ.get("DISPLAY"):
        os.environ["MINEDOJO_HEADLESS"] = "1"
    _start_watchdog_alone()


def _start_watchdog_alone() -> None:
    """MineDojo starts its watchdog as a module, which imports all of MineDojo first; as a file it imports nothing."""
    from minedojo.sim.bridge.utils import watchdog

    def launch(owner: int, game: int, *folders: str) -> None:
        program = [sys.executable, "-I", watchdog.__file__]  # -I: there is a `logging.py` beside it
        subprocess.check_call([*program, str(owner), str(game), f"--{watchdog.CHILD_DIR_ARG}", *folders])

    watchdog.launch = launch


def _java_version(java: str) -> str:
    """As in "8" or "17"; empty if it cannot be run."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    version = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    return version.group(1) if version else ""
