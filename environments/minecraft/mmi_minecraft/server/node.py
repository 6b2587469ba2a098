"""Node.js and the packages of the bridge: found, or fetched once into the user's cache."""

import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from mmi_agent.cache import cache_root
from mmi_agent.errors import MissingDependencyError
from mmi_agent.whole_folder import making_whole

__all__ = ["BRIDGE", "Progress", "bridge_packages", "find_node"]

BRIDGE = Path(__file__).parent.parent / "bridge"
"""The programs that Node runs."""

Progress = Callable[[str], None]
"""Is told in a few words what takes long."""

_NODE = 20
_LOCKED = ("package.json", "package-lock.json")
_INSTALL = ("ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error")
_TOLD_EVERY_S = 5
_PROBE_TIMEOUT_S = 30
_REMEDY = f"install Node.js {_NODE} or later with npm (apt-get install nodejs npm, or nodejs.org)"


def find_node() -> str:
    """Returns the program `node` that is on PATH.

    Raises:
        MissingDependencyError: If there is none, or it is too old.
    """
    path = shutil.which("node")
    if path is None:
        raise MissingDependencyError(f"the Minecraft bridge needs Node.js, which is not on PATH: {_REMEDY}")
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingDependencyError(f"{path} does not run ({error}): {_REMEDY}") from error
    match = re.match(r"v(\d+)\.", said)
    if match is None or int(match[1]) < _NODE:
        raise MissingDependencyError(f"{path} is {said.strip() or 'no Node.js'}, which is too old: {_REMEDY}")
    return path


def bridge_packages(progress: Progress | None = None) -> Path:
    """The folder whose `node_modules` has the packages that the bridge needs; the first call fetches them by npm.

    Args:
        progress: Is told that they are fetched, and every few seconds how long that has taken.

    Raises:
        MissingDependencyError: If npm is missing, or cannot fetch them.
    """
    digest = hashlib.sha256(b"".join((BRIDGE / name).read_bytes() for name in _LOCKED)).hexdigest()[:12]
    folder = cache_root() / f"minecraft-bridge-{digest}"
    if not folder.is_dir():
        npm = shutil.which("npm")
        if npm is None:
            raise MissingDependencyError(f"the Minecraft bridge needs npm, which is not on PATH: {_REMEDY}")
        try:
            with making_whole(folder) as unfinished:
                _fetch(npm, unfinished, progress or (lambda _: None))
        except OSError as error:
            raise MissingDependencyError(f"{folder} cannot be written: {error.strerror}") from error
    return folder


def _fetch(npm: str, folder: Path, progress: Progress) -> None:
    for name in _LOCKED:
        shutil.copy(BRIDGE / name, folder)
    began = time.monotonic()
    process = subprocess.Popen(
        [npm, *_INSTALL], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        while True:
            progress(f"fetching the Minecraft bridge by npm (1 GB, once): {time.monotonic() - began:.0f} s")
            try:
                _, said = process.communicate(timeout=_TOLD_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                continue
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        reasons = [line for line in said.decode(errors="replace").splitlines() if line.startswith("npm error")]
        reason = reasons[0].removeprefix("npm error").strip() if reasons else f"it ended with {process.returncode}"
        raise MissingDependencyError(f"npm could not fetch the packages of the Minecraft bridge: {reason[:300]}")
