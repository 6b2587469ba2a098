"""MineDojo's own Python environment: made once, when it is first needed, in the user's cache.

MineDojo 0.1 pins gym 0.21, which only builds under a setuptools of 2022, and needs a numpy of the same time. Neither
can stand beside our packages, so it gets a virtual environment of its own.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mmi_agent.cache import cache_root
from mmi_agent.errors import MissingDependencyError
from mmi_agent.whole_folder import making_whole

__all__ = ["MINEDOJO", "install_minedojo", "minedojo_python"]

MINEDOJO = "minedojo==0.1"
_PYTHONS = ((3, 11), (3, 10), (3, 9))  # setuptools 65 does not start on 3.12; MineDojo's annotations need 3.9
_BUILD_TOOLS = ("setuptools==65.5.0", "wheel==0.38.4")  # later ones refuse the metadata of gym 0.21
_PACKAGES = (  # what MineDojo imports; the rest of what it declares is for downloading its data sets
    "numpy==1.23.5",  # the last with `np.int`, and the first for Python 3.11
    "cloudpickle>=1.2",  # gym's
    "opencv-python-headless>=4.6,<5",  # in place of opencv-python, which needs the libraries of a desktop
    "lxml>=4.9",
    "jinja2>=3",
    "omegaconf>=2.3,<2.4",
    "importlib-resources>=5",
    "Pyro4>=4.80",
    "psutil>=5.9",
    "Pillow>=9",
    "mypy-extensions>=0.4",
    "coloredlogs>=15",  # this and the next are of the watchdog, which ends the game when its owner dies
    "daemoniker>=0.2.3",
)
_STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("build tools", _BUILD_TOOLS),
    ("its packages (200 MB)", _PACKAGES),
    ("gym 0.21", ("--no-build-isolation", "--no-deps", "gym==0.21.0")),
    ("MineDojo 0.1", ("--no-build-isolation", "--no-deps", MINEDOJO)),
)
_STEP_TIMEOUT_S = 900


def minedojo_python(progress: Callable[[str], None] | None = None) -> Path:
    """The interpreter that can import MineDojo; it is installed if it is not there.

    Args:
        progress: Told what is being done, when that takes long.

    Raises:
        MissingDependencyError: If it cannot be installed; says what is missing.
    """
    folder = _folder()
    if not folder.is_dir():
        install_minedojo(folder, progress)
    return folder / "bin" / "python"


def install_minedojo(folder: Path, progress: Callable[[str], None] | None = None) -> None:
    """Makes MineDojo's Python environment: about 300 MB, a minute or two.

    Args:
        folder: Where it will stand, whole or not at all.
        progress: Told what is being done.

    Raises:
        MissingDependencyError: If no fitting Python is found, or a package cannot be fetched or built.
    """
    say = progress or _silent
    base = _find_python()
    try:
        with making_whole(folder) as unfinished:
            say(f"making a Python environment for MineDojo with {base}")
            _run([base, "-m", "venv", str(unfinished)], "a virtual environment (on Debian it is in python3-venv)")
            for what, wanted in _STEPS:
                say(f"installing {what} for MineDojo")
                _run([*_pip(unfinished), *wanted], what)
    except OSError as error:
        raise MissingDependencyError(f"cannot write {folder}: {error}; free some space or set MMI_CACHE") from error


def _folder() -> Path:
    return cache_root() / MINEDOJO.replace("==", "-")


def _find_python() -> str:
    """This interpreter if MineDojo runs on it, else one on PATH."""
    if sys.version_info[:2] in _PYTHONS:
        return sys.executable
    for major, minor in _PYTHONS:
        path = shutil.which(f"python{major}.{minor}")
        if path and _answers(path):
            return path
    found = ".".join(map(str, sys.version_info[:2]))
    raise MissingDependencyError(
        f"MineDojo 0.1 runs on Python 3.9 to 3.11, and this is {found}: install python3.11, or put it on PATH"
    )


def _answers(path: str) -> bool:
    """Whether it is a Python, and not a shim for one that is not installed."""
    try:
        return subprocess.run([path, "-c", "import venv"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _pip(folder: Path) -> list[str]:
    python = str(folder / "bin" / "python")
    return [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]


def _run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_STEP_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise MissingDependencyError(f"MineDojo cannot be installed: {what} took over {_STEP_TIMEOUT_S} s") from error
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        faults = [line for line in said if line.startswith("ERROR")] or said
        reason = faults[0] if faults else f"exit status {done.returncode}"
        raise MissingDependencyError(f"MineDojo cannot be installed: {what} failed ({reason})")


def _silent(_text: str) -> None:
    pass
