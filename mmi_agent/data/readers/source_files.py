"""Files that are read piece by piece at any place, compressed or not, from several threads at once."""

import gzip
import os
import tempfile
import zlib
from pathlib import Path
from typing import BinaryIO

from mmi_agent.errors import DataError

__all__ = ["SourceFile"]


class SourceFile:
    """A file of training data, never held in memory as a whole.

    A file that ends in ".gz" or ".tgz" is unpacked once, to a temporary file, because samples are read in any order.

    Attributes:
        path: The file.
        size: Its length, unpacked.
        fault: What cut the unpacking short; empty if nothing did.

    Raises:
        DataError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault = ""
        try:
            self._file = self._unpacked() if path.suffix in (".gz", ".tgz") else path.open("rb")
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error
        self.size = os.fstat(self._file.fileno()).st_size

    def _unpacked(self) -> BinaryIO:
        unpacked = tempfile.TemporaryFile()
        with gzip.open(self.path, "rb") as packed:
            try:
                while piece := packed.read1(1 << 20):  # unlike `read`, gives what comes before the damage
                    unpacked.write(piece)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                self.fault = f"the compressed file is cut off or damaged ({error})"
        unpacked.flush()
        return unpacked

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at a place; fewer where the file ends."""
        pieces: list[bytes] = []
        while length > 0 and (piece := os.pread(self._file.fileno(), length, offset)):
            pieces.append(piece)
            offset, length = offset + len(piece), length - len(piece)
        return b"".join(pieces)

    def rewound(self) -> BinaryIO:
        """The file from its beginning, for whoever reads it through once before anything else does."""
        self._file.seek(0)
        return self._file
