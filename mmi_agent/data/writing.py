"""Samples of any form written out as one file of parts: to be taken to another machine, or looked at as text."""

import base64
import gzip
import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from pydantic import JsonValue

from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import DataError
from mmi_agent.inference.prompts import Part, Special
from mmi_agent.pictures import as_rgb, open_png
from mmi_agent.types import Picture
from mmi_agent.whole_file import write_whole

__all__ = ["Written", "expect_other_file", "write_parts"]


class Written(NamedTuple):
    """What became of samples.

    Attributes:
        samples: Those that were written.
        broken: Those that could not be.
        size_bytes: Of the file.
    """

    samples: int
    broken: tuple[Broken, ...]
    size_bytes: int


def expect_other_file(path: Path, data: Iterable[Path]) -> None:
    """Makes sure that a file can be written without a loss of what it is made of.

    Args:
        path: The file to make.
        data: What is to be read.

    Raises:
        DataError: If it is some of the data, or something stands there that is no file.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise DataError(f"{path} is no file that could be written anew: name another one")
    if source := next((each for each in data if each.resolve() in (path.resolve(), *path.resolve().parents)), None):
        raise DataError(f"{path} is some of the data in {source}, which would be lost: name another file")


def write_parts(samples: Iterable[Sample | Broken], path: Path, *, side_px: int | None = None) -> Written:
    """Writes samples in the form "parts", pictures within their lines.

    Args:
        samples: Whatever readers give.
        path: The file to make; compressed if it ends in ".gz".
        side_px: Pictures are scaled to this height and width, as models scale what they read, and compressed with a
            loss that is hardly seen; None keeps them as they are.

    Raises:
        DataError: If the file cannot be written, or there is no sample to write.
    """
    lines: list[str] = []
    broken: list[Broken] = []
    for sample in samples:
        if isinstance(sample, Broken):
            broken.append(sample)
        else:
            lines.append(json.dumps({"parts": [_part(part, sample, side_px) for part in sample.parts]}))
    if not lines:
        raise DataError(f"there is nothing to write to {path}: {broken[0].reason if broken else 'no sample at all'}")
    text = "\n".join([*lines, ""]).encode()
    data = gzip.compress(text, mtime=0) if path.name.endswith(".gz") else text
    try:
        write_whole(path, data)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    return Written(len(lines), tuple(broken), len(data))


def _part(part: Part, sample: Sample, side_px: int | None) -> dict[str, JsonValue]:
    learnt: dict[str, JsonValue] = {"learnt": True} if part.learnt else {}
    match part.content:
        case str(text):
            return {"text": text} | learnt
        case Special(name):
            return {"marker": name} | learnt
        case Picture() as picture:
            return {"picture": _within_a_line(sample.pictures.get(picture.digest), side_px)} | learnt


def _within_a_line(data: bytes, side_px: int | None) -> str:
    if side_px is not None:
        buffer = BytesIO()
        as_rgb(open_png(data)).resize((side_px, side_px), Image.Resampling.BICUBIC).save(buffer, "WEBP", quality=90)
        data = buffer.getvalue()
    return base64.b64encode(data).decode()
