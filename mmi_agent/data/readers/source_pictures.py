"""The pictures of one sample, as its source holds them: files beside it, base64 within it, members of a tar.

Nothing is fetched: an address of the web is a missing picture.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from mmi_agent.errors import ActionError, DataError
from mmi_agent.pictures import open_png
from mmi_agent.types import Picture

__all__ = ["SourcePictures"]

_SHORTEST_BASE64 = 80
"""A picture of one pixel takes more characters than this; what is shorter is a file's name."""

_LONGEST_NAME = 1024


class SourcePictures:
    """A `PictureStore` that keeps every file as it is: a JPEG stays one, and is named by the digest of its bytes.

    Args:
        folders: Where named files are looked for, in this order.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = folders
        self._files: dict[str, bytes] = {}

    def put(self, data: bytes, *, origin: Literal["observed", "drawn"] = "observed") -> Picture:
        """Takes a picture's file; ActionError if it cannot be read."""
        image = open_png(data)
        digest = hashlib.sha256(data).hexdigest()
        self._files[digest] = data
        return Picture(digest=digest, width_px=image.width, height_px=image.height, origin=origin)

    def get(self, digest: str) -> bytes:
        """Returns the file; KeyError if it is not here."""
        return self._files[digest]

    def find(self, reference: object) -> Picture:
        """Takes the picture that a line of data names.

        Args:
            reference: A file's name, base64, a data URI, or an object with "bytes" (base64) or "path".

        Raises:
            DataError: If there is none, or it cannot be read.
        """
        try:
            return self.put(self.file_of(reference))
        except ActionError as error:
            raise DataError(f"the picture {_shown(reference)} is damaged: {error}") from error

    def file_of(self, reference: object) -> bytes:
        """The file's bytes; DataError if it is not there."""
        if isinstance(reference, Mapping):
            named = cast("Mapping[str, object]", reference)
            reference = named.get("bytes") or named.get("path")
        if not isinstance(reference, str) or not reference:
            raise DataError(f"{_shown(reference)} names no picture: expected a file's name or base64")
        if reference.startswith("data:"):
            return _decoded(reference.partition(",")[2], reference)
        if "://" in reference[:12]:
            raise DataError(f"the picture {_shown(reference)} is on the web, and nothing is fetched: name a file")
        if len(reference) <= _LONGEST_NAME and (found := self._named(reference)) is not None:
            return found
        if len(reference) >= _SHORTEST_BASE64 and "." not in reference:
            return _decoded(reference, reference)
        raise DataError(f"the picture {_shown(reference)} is missing")

    def _named(self, name: str) -> bytes | None:
        for folder in self._folders:
            try:
                return (folder / name).read_bytes()
            except (OSError, ValueError):  # not there, a folder, no permission; a name with NUL
                continue
        return None


def _decoded(text: str, reference: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"the picture {_shown(reference)} is missing, or its base64 is damaged") from error


def _shown(reference: object) -> str:
    text = repr(reference)
    return text if len(text) <= 60 else f"{text[:57]}...'"
