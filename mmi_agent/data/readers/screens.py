"""Screens that are drawn when they are asked for, with questions about them; nobody recorded them, none is stored.

A file says how many, as in `{"form": "screens", "count": 1000000, "seed": 7, "asks": {"describe": 2, "locate": 1}}`.
What a screen is depends on the seed and its number alone, and on the fonts of the machine: those that are known of
`"fonts": ["folder", ...]` beside the file, else the system's, and always the one that Pillow brings.

A sample is a chat: the picture with a question, the answer, further questions about the same picture. The answers are
learnt. The picture is kept as plain pixels (PPM), since packing and unpacking it would take longer than drawing it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmi_agent.data.readers.reader import Reader
from mmi_agent.data.readers.source_pictures import SourcePictures
from mmi_agent.data.sample import Sample
from mmi_agent.data.screens.asking import ASKS, Question, ask
from mmi_agent.data.screens.layouts import draw_screen
from mmi_agent.data.screens.lettering import TypeFace, faces_in, system_faces
from mmi_agent.errors import DataError
from mmi_agent.inference.prompts import Part, turn
from mmi_agent.types import Picture

__all__ = ["Screens"]

_LARGEST_BYTES = 1 << 16
_MOST = 10**8  # their order is kept in memory
_SAYS_SO = re.compile(rb'"form"\s*:\s*"screens"')
_ASKS = {"describe": 2.0, "read": 1.0, "locate": 2.0, "which": 1.0}


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    form: str = Field(pattern="^screens$")
    count: int = Field(ge=1, le=_MOST)
    seed: int = 0
    asks: dict[str, float] = Field(default=_ASKS, min_length=1)
    fonts: list[str] = []


class Screens(Reader):
    """As many drawn screens as a file says.

    Args:
        path: The file.

    Raises:
        DataError: If it cannot be read, says anything that is not known, or names a folder without a known font.
    """

    form = "screens"

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._source = path.name
        said = _read(path)
        self._count, self._seed = said.count, said.seed
        self._kinds, self._weights = list(said.asks), list(said.asks.values())
        self._faces = _faces(path, said.fonts) if said.fonts else system_faces()

    @staticmethod
    def fits(path: Path) -> bool:
        """Whether a file says of itself that it is one of these."""
        if path.suffix != ".json" or path.stat().st_size > _LARGEST_BYTES:
            return False
        return _SAYS_SO.search(path.read_bytes()) is not None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int, /) -> Sample:
        if not 0 <= number < self._count:
            raise IndexError(number)
        chance = Random(f"{self._seed}:{number}")
        canvas = draw_screen(chance, self._faces)
        while not canvas.widgets:
            canvas = draw_screen(chance, self._faces)
        (kind,) = chance.choices(self._kinds, self._weights)
        pictures = SourcePictures()
        picture = pictures.put(_plain_pixels(canvas.image))
        parts = tuple(_chat(picture, ask(kind, canvas.widgets, chance)))
        return Sample(parts=parts, pictures=pictures, source=self.source(number))

    def source(self, number: int, /) -> str:
        """What one is called."""
        return f"{self._source}: screen {number}"


def _plain_pixels(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PPM")
    return buffer.getvalue()


def _chat(picture: Picture, questions: Sequence[Question]) -> Iterator[Part]:
    for number, (asked, answer) in enumerate(questions):
        yield from map(Part, turn("user", [*([] if number else [picture]), asked]))
        *opening, end, newline = turn("assistant")
        yield from map(Part, opening)
        yield from (Part(answer, learnt=True), Part(end, learnt=True), Part(newline))


def _read(path: Path) -> _File:
    try:
        said = _File.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise DataError(f"{path}: {_told(error.errors(include_url=False)[0])}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON: {error}") from error
    if unknown := [kind for kind in said.asks if kind not in ASKS]:
        raise DataError(f"{path}: 'asks' has {unknown[0]!r}: expected {', '.join(ASKS)}")
    if min(said.asks.values()) < 0 or not 0 < sum(said.asks.values()) < float("inf"):
        raise DataError(f"{path}: 'asks' has weights {list(said.asks.values())}: expected none below 0, one above it")
    return said


def _told(fault: Mapping[str, Any]) -> str:
    where = ".".join(map(str, fault["loc"])) or "the file"
    return f"{where!r} is {json.dumps(fault['input'], default=str)[:60]}: {fault['msg']}"


def _faces(path: Path, folders: Sequence[str]) -> tuple[TypeFace, ...]:
    faces = faces_in([path.parent / folder for folder in folders])
    if len(faces) == 1:
        raise DataError(f"{path}: none of the folders {', '.join(folders)} has a font that is known, as DejaVuSans.ttf")
    return faces
