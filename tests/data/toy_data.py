"""Tiny data of each form, as real files."""

import json
import tarfile
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from mmi_agent import Picture
from mmi_agent.data.readers import Reader
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.inference.prompts import Part

PICTURE = "<picture>"


def jpeg(colour: str) -> bytes:
    """A picture of 40 x 30 px."""
    return _encoded(Image.new("RGB", (40, 30), colour))


def noise() -> bytes:
    """A picture that no other is like, and that does not get smaller."""
    return _encoded(Image.effect_noise((120, 120), 90))


def _encoded(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def base64(colour: str) -> str:
    return b64encode(jpeg(colour)).decode()


def lines(path: Path, *records: Mapping[str, Any] | str) -> Path:
    """JSON lines; a text is written as it is. The pictures red.jpg and blue.jpg stand beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for colour in ("red", "blue"):
        (path.parent / f"{colour}.jpg").write_bytes(jpeg(colour))
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in records))
    return path


def captions(path: Path, count: int) -> Path:
    """As many parts lines, each learning its number."""
    return lines(path, *({"parts": [{"text": f"{number}", "learnt": True}]} for number in range(count)))


def archive(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, BytesIO(data))
    return path


def told(sample: Sample | Broken) -> list[tuple[str, bool]]:
    """A sample's parts in words: what, and whether it is learnt."""
    assert isinstance(sample, Sample), sample
    return [_told(part) for part in sample.parts]


def _told(part: Part) -> tuple[str, bool]:
    content = part.content
    return (PICTURE if isinstance(content, Picture) else content if isinstance(content, str) else content.name), (
        part.learnt
    )


def reasons(reader: Reader) -> list[str]:
    """What is broken, as it is named to a person."""
    return [f"{each.source}: {each.reason}" for each in reader if isinstance(each, Broken)]
