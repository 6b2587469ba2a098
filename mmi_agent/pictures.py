"""Where the bytes of pictures live: content-addressed PNG files, each stored once.

Knows nothing of runs or agents. Whatever comes in is read as untrusted: its size is checked before it is decoded.
"""

import hashlib
import struct
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Literal, Protocol

from PIL import Image, ImageOps, UnidentifiedImageError

from mmi_agent.errors import ActionError, TrajectoryError
from mmi_agent.types import Picture
from mmi_agent.whole_file import write_whole

__all__ = ["MAX_SIDE_PX", "FolderPictures", "MemoryPictures", "PictureStore", "as_rgb", "open_png"]

MAX_SIDE_PX = 8192
"""A picture with a longer side is scaled down to it before it is stored."""

_MAX_PIXELS = 512_000_000  # 20 000 x 20 000 px is read and scaled down; more is refused before it is decoded


class PictureStore(Protocol):
    """Keeps the PNG files of a run by digest."""

    def put(self, data: bytes, *, origin: Literal["observed", "drawn"] = "observed") -> Picture:
        """Stores an encoded picture once and returns its name.

        Raises:
            ActionError: If `data` is no picture that can be read.
        """
        ...

    def get(self, digest: str) -> bytes:
        """Returns the PNG file.

        Raises:
            KeyError: If it is not here.
        """
        ...


def open_png(data: bytes) -> Image.Image:
    """Decodes an untrusted picture.

    Raises:
        ActionError: If it is no picture, is damaged, or has more than 512 million pixels.
    """
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # Pillow's own limit is lower and warns
    try:
        image = Image.open(BytesIO(data))
        if image.width * image.height > _MAX_PIXELS:
            raise ActionError(f"the picture is {image.width} x {image.height} px, more than {_MAX_PIXELS:,} pixels")
        image.load()
    except UnidentifiedImageError as error:
        raise ActionError(f"{len(data)} bytes are not a picture of any format that is known here") from error
    except ActionError:
        raise
    except Exception as error:  # what is raised differs by format: a RuntimeError by AVIF
        raise ActionError(f"{len(data)} bytes are not a picture that can be read: {error}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return image


def as_rgb(image: Image.Image) -> Image.Image:
    """Turns a decoded picture into RGB as a person would see it.

    It is turned upright where the camera says how it was held, and stands on white where it is transparent. Of several
    frames the first is taken, of 16 bits the upper 8.
    """
    image.seek(0)
    with suppress(OSError, SyntaxError, ValueError, KeyError, struct.error):  # what damaged EXIF data raises
        image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.has_transparency_data:
        solid = image.convert("RGBA")
        white = Image.new("RGBA", solid.size, "white")
        return Image.alpha_composite(white, solid).convert("RGB")
    return image.convert("RGB")


def _as_png(data: bytes) -> tuple[bytes, int, int]:
    """Returns `data` as a PNG no side of which exceeds `MAX_SIDE_PX`, untouched where it is one already.

    One that lies on its side, or moves, is none: it is stored as it is seen.
    """
    header = _png_size(data)
    if header and max(header) <= MAX_SIDE_PX and b"eXIf" not in data and b"acTL" not in data:
        return data, *header
    image = open_png(data)
    if max(image.size) > MAX_SIDE_PX:
        image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    image = as_rgb(image)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue(), image.width, image.height


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from a PNG's header, or None where `data` is no whole PNG."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or b"IEND" not in data[-12:]:
        return None
    size = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return size if min(size) >= 1 else None


def _named(data: bytes, origin: Literal["observed", "drawn"]) -> tuple[bytes, Picture]:
    png, width_px, height_px = _as_png(data)
    digest = hashlib.sha256(png).hexdigest()
    return png, Picture(digest=digest, width_px=width_px, height_px=height_px, origin=origin)


class MemoryPictures:
    """A `PictureStore` that dies with the process: for tests, and for pictures nobody records."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def put(self, data: bytes, *, origin: Literal["observed", "drawn"] = "observed") -> Picture:
        """Stores an encoded picture once and returns its name."""
        png, picture = _named(data, origin)
        self._files.setdefault(picture.digest, png)
        return picture

    def get(self, digest: str) -> bytes:
        """Returns the PNG file; KeyError if it is not here."""
        return self._files[digest]


class FolderPictures:
    """A `PictureStore` of files `<folder>/<sha256>.png`.

    Raises:
        TrajectoryError: From every method, if the folder cannot be written (no permission, disk full).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the picture of that digest stands."""
        return self.folder / f"{digest}.png"

    def put(self, data: bytes, *, origin: Literal["observed", "drawn"] = "observed") -> Picture:
        """Stores an encoded picture once, whole or not at all, and returns its name."""
        png, picture = _named(data, origin)
        target = self.path(picture.digest)
        if not target.exists():
            try:
                write_whole(target, png, synced=True)
            except OSError as error:
                raise TrajectoryError(f"cannot write the picture {target}: {error.strerror}") from error
        return picture

    def get(self, digest: str) -> bytes:
        """Returns the PNG file; KeyError if it is not here."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError:
            raise KeyError(digest) from None
