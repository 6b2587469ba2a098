"""Files that are there whole or not at all."""

import os
import secrets
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes, *, synced: bool = False) -> None:
    """Writes a file beside its place and renames it into it, so that a reader never sees half of one.

    Args:
        path: Its place; folders on the way are made, a file that stands there is replaced.
        data: Its content.
        synced: Whether the content is on the disk when this returns, whatever happens to the machine.

    Raises:
        OSError: If it cannot be written, naming `path`; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # nobody has heard of the other one
        raise
