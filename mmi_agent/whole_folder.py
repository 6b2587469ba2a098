"""Folders that are there whole or not at all."""

import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["making_whole"]

_UNFINISHED = ".making-"
_ABANDONED_AFTER_S = 24 * 3600


@contextmanager
def making_whole(folder: Path) -> Generator[Path]:
    """Gives an empty folder to fill, which becomes `folder` when the block ends without an error.

    If another process has put `folder` there meanwhile, its work is kept and this one's is dropped. Nothing is left of
    a block that is interrupted; what a killed process left is removed by a later one.

    Raises:
        OSError: If it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder.parent, ignore_cleanup_errors=True) as scratch:
        unfinished = Path(scratch) / folder.name
        unfinished.mkdir()
        yield unfinished
        try:
            unfinished.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise


def _sweep(parent: Path) -> None:
    """Removes what killed processes left behind; a day is longer than anything takes that still runs."""
    for leftover in parent.glob(f"{_UNFINISHED}*"):
        with suppress(FileNotFoundError):  # another process may be done with it since it was listed
            if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(leftover, ignore_errors=True)
