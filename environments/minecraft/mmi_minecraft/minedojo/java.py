"""What MineDojo needs besides Python to start the game itself."""

import os
import re
import shutil
import subprocess

from mmi_agent.errors import MissingDependencyError

__all__ = ["check_game_can_start"]

_PROBE_TIMEOUT_S = 30


def check_game_can_start() -> None:
    """Asks for Java 8 and a display, which MineDojo would miss only after minutes.

    Raises:
        MissingDependencyError: If one is missing; says what to install.
    """
    java = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else "java"
    found = _java_version(java)
    if found != "8":
        raise MissingDependencyError(
            f"MineDojo plays Minecraft 1.11.2, which needs Java 8, and {java} is {found or 'not there'}: "
            "install a JDK 8 and name its folder in JAVA_HOME, or name a Malmo client that runs (localhost:PORT)"
        )
    if not os.environ.get("DISPLAY") and not shutil.which("xvfb-run"):
        raise MissingDependencyError("Minecraft needs a display, and there is none: install xvfb, or set DISPLAY")


def _java_version(java: str) -> str:
    """As in "8" or "17"; empty if it cannot be run."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return ""
    version = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    return version[1] if version else ""
