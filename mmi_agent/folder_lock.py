"""Folders that one process at a time works in. The folder itself is locked: nothing stays behind in it."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmi_agent.errors import ConfigError

__all__ = ["alone_in"]


@contextmanager
def alone_in(folder: Path) -> Generator[None]:
    """Keeps other processes that ask likewise out of a folder, which is made if it is not there.

    Some network file systems lock no folders: nobody is kept out there.

    Raises:
        ConfigError: If another process is in it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        with suppress(OSError):
            _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"another process is at work in {folder}: wait for it, or name another folder") from None
