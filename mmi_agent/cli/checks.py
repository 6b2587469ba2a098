"""What has to be there for the main job, and the command that brings what is not."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from mmi_agent.errors import CheckpointError, MissingDependencyError

__all__ = ["Check", "Room", "check_browser", "check_machine", "find_room"]

_PYTHON = (3, 11)
_FREE_BYTES = 2_000_000_000  # the weights converted and while they are converted, and some runs
_PROBE_TIMEOUT_S = 30
_PACKAGES = {
    "model": ("torch", "numpy", "safetensors", "tokenizers", "llguidance", "gguf"),
    "gui": ("playwright", "miniwob"),
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        status: "missing" means that the main job cannot run; "note" that something is slower or happens later.
        found: What was found.
        remedy: What to do about it.
    """

    name: str
    status: Literal["ok", "note", "missing"]
    found: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a machine has room for.

    Attributes:
        memory_bytes: Of the machine.
        gpu: The GPU's name; empty where there is none.
        gpu_bytes: Of its memory.
        disk_bytes: Free where converted weights are kept.
    """

    memory_bytes: int
    gpu: str
    gpu_bytes: int
    disk_bytes: int


def find_room(cache: Path) -> Room:
    """Looks at memory, GPU and disk."""
    import torch

    _available: Callable[[], bool] = torch.cuda.is_available
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk = shutil.disk_usage(_existing(cache)).free
    if not _available():
        return Room(memory_bytes=memory, gpu="", gpu_bytes=0, disk_bytes=disk)
    _, gpu_bytes = torch.cuda.mem_get_info(0)
    return Room(memory_bytes=memory, gpu=torch.cuda.get_device_name(0), gpu_bytes=gpu_bytes, disk_bytes=disk)


def check_machine(runs_dir: Path) -> Iterator[Check]:
    """Looks at everything that the main job needs: the embedded model on a real browser."""
    yield _python()
    yield from (_packages(extra) for extra in _PACKAGES)
    yield check_browser()
    yield _weights()
    yield _runs(runs_dir)
    yield _disk(runs_dir)
    yield _cores()
    yield _gpu()


def check_browser() -> Check:
    """Finds the browser and asks it for its version."""
    try:
        from mmi_gui.chromium import find_chromium

        path = find_chromium()
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S)
    except MissingDependencyError as error:
        fault, _, remedy = str(error).partition(": ")
        return Check(name="browser", status="missing", found=fault, remedy=remedy)
    except ModuleNotFoundError as error:
        return Check(name="browser", status="missing", found=str(error), remedy="pip install 'mmi-agent[gui]'")
    except (OSError, subprocess.SubprocessError) as error:
        return Check(name="browser", status="missing", found=str(error), remedy="name one that works in MMI_CHROMIUM")
    if answer.returncode:
        found = f"{path} ends with {answer.returncode}: {answer.stderr.strip()[-200:]}"
        return Check(name="browser", status="missing", found=found, remedy="name one that works in MMI_CHROMIUM")
    return Check(name="browser", status="ok", found=f"{answer.stdout.strip()} ({path})")


def _python() -> Check:
    wanted = ".".join(map(str, _PYTHON))
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < _PYTHON:
        return Check(name="Python", status="missing", found=found, remedy=f"install Python {wanted} or later")
    return Check(name="Python", status="ok", found=found)


def _packages(extra: str) -> Check:
    found, absent = list[str](), list[str]()
    for name in _PACKAGES[extra]:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    name = f"extra {extra!r}"
    if absent:
        remedy = f"pip install 'mmi-agent[{extra}]'"
        return Check(name=name, status="missing", found=f"not installed: {', '.join(absent)}", remedy=remedy)
    return Check(name=name, status="ok", found=", ".join(found))


def _weights() -> Check:
    """Checks every byte of the cached weights; none are cached before the first run."""
    from mmi_agent.cache import cache_root
    from mmi_agent.checkpoints.files import verify

    folders = [folder for folder in sorted(cache_root().glob("smollm2-135m-instruct*")) if folder.is_dir()]
    if not folders:
        found = f"none in {cache_root()} yet"
        return Check(name="weights", status="note", found=found, remedy="the first run of `small` fetches them (93 MB)")
    try:
        model = [verify(folder) for folder in folders][-1].model
    except CheckpointError as error:
        fault, _, remedy = str(error).rpartition("; ")
        return Check(name="weights", status="missing", found=fault, remedy=remedy)
    return Check(name="weights", status="ok", found=f"{model}, verified ({folders[-1]})")


def _runs(runs_dir: Path) -> Check:
    existing = _existing(runs_dir)
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
    except OSError as error:
        found = f"{runs_dir}: {error.strerror}"
        return Check(name="runs", status="missing", found=found, remedy="name another folder with --runs-dir")
    return Check(name="runs", status="ok", found=f"{runs_dir} can be written")


def _disk(runs_dir: Path) -> Check:
    free = shutil.disk_usage(_existing(runs_dir)).free
    found = f"{free / 1e9:.1f} GB free"
    if free < _FREE_BYTES:
        return Check(
            name="disk",
            status="note",
            found=found,
            remedy=f"{_FREE_BYTES / 1e9:.0f} GB leave room for weights and runs",
        )
    return Check(name="disk", status="ok", found=found)


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(folder for folder in (path.resolve(), *path.resolve().parents) if folder.exists())


def _cores() -> Check:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    found = f"{os.cpu_count()} cores, {memory:.0f} GB of memory"
    if memory < 3:
        return Check(
            name="machine", status="note", found=found, remedy="`small` and a browser want 3 GB: use --workers 1"
        )
    return Check(name="machine", status="ok", found=found)


def _gpu() -> Check:
    try:
        import torch
    except ImportError:
        return Check(name="GPU", status="note", found="torch is not installed")
    _available: Callable[[], bool] = torch.cuda.is_available
    if not _available():
        return Check(name="GPU", status="note", found="none", remedy="nothing to do: `small` is made for CPUs")
    return Check(name="GPU", status="ok", found=torch.cuda.get_device_name())
