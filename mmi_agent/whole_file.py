"""Files that are there whole or not at all."""

import errno
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["check_writable", "write_whole"]


def check_writable(path: Path) -> None:
    """Checks that a file can be written, before the work is done whose result it is to hold.

    Args:
        path: Its place; folders on the way are made, a file that stands there is left as it is.

    Raises:
        OSError: If it cannot.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with _unfinished(path) as beside:
        beside.touch(exist_ok=False)


def write_whole(path: Path, data: bytes, *, synced: bool = False) -> None:
    """Writes a file beside its place and renames it into it, so that a reader never sees half of one.

    Args:
        path: Its place; folders on the way are made, a file that stands there is replaced.
        data: Its content.
        synced: Whether the content is on the disk when this returns, whatever happens to the machine.

    Raises:
        OSError: If it cannot be written, naming `path`; nothing is left behind then.
    """
    with _unfinished(path) as beside:
        with beside.open("xb") as file:
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)


@contextmanager
def _unfinished(path: Path) -> Generator[Path]:
    """A place beside a file's, of which nothing is left in the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield beside
    except OSError as error:
        error.filename = str(path)  # nobody has heard of the other one
        raise
    finally:
        beside.unlink(missing_ok=True)
