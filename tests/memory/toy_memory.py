"""Embedders that cost nothing, and memories made with them."""

import hashlib
import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmi_agent.memory import Memory, MemoryItem


class Words:
    """A text is the sum of directions that follow from its words: texts that share words are alike."""

    def __init__(self, width: int = 64, name: str = "words") -> None:
        self.name = name
        self._width = width

    def embed_documents(self, texts: list[str]) -> Sequence[Sequence[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> Sequence[float]:
        text.encode()  # a tokenizer takes no lone surrogate either
        return sum((self._direction(word) for word in re.findall(r"\w+", text.lower())), np.zeros(self._width)).tolist()

    def _direction(self, word: str) -> Any:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
        return np.random.default_rng(seed).standard_normal(self._width)


class Colours:
    """A picture is its colours, in four by four places."""

    name = "colours"

    def embed_pictures(self, pictures: list[bytes]) -> Sequence[Sequence[float]]:
        small = [Image.open(BytesIO(data)).convert("RGB").resize((4, 4), Image.Resampling.BOX) for data in pictures]
        return [(np.asarray(image, np.float32).ravel() - 127.5).tolist() for image in small]


def opened(folder: Path, **options: Any) -> Memory:
    return Memory.open(folder, **{"text_embedder": Words(), "picture_embedder": Colours(), **options})


def fact(text: str, **fields: Any) -> MemoryItem:
    given: dict[str, Any] = {"kind": "fact", "trust": "user", "text": text, **fields}
    return MemoryItem(**given)


def png(colour: str, size: int = 16) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "PNG")
    return buffer.getvalue()


def every_byte(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
