"""Where in a picture something is, asked and answered in the words of the released model.

A line names a picture, what is looked for, and where it is: `{"image": "a.jpg", "phrase": "the cup", "bbox": [10, 20,
90, 120]}`, in pixels from the upper left. Several things of one picture stand as `"objects": [{"phrase": ..., "bbox":
...}, ...]`, and something that is there more than once has `"boxes"` instead. The answers are learnt.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from mmi_agent.data.readers.lines import Line, LineForm
from mmi_agent.errors import DataError
from mmi_agent.inference.grounding import request
from mmi_agent.inference.prompts import Part
from mmi_agent.types import Picture

__all__ = ["GROUNDING"]

_SCALE = 999
_PHRASE = ("phrase", "expression", "sent", "caption", "label")


def _grounding(line: Line) -> tuple[Part, ...]:
    objects = line.objects("objects") if "objects" in line.record else [line.record]
    if not objects:
        raise DataError("'objects' is empty: nothing is looked for")
    picture = line.picture("image")
    return Part(picture), *_asked_and_answered(line, objects, picture)


def _asked_and_answered(line: Line, objects: Sequence[Mapping[str, Any]], picture: Picture) -> Iterator[Part]:
    for number, thing in enumerate(objects):
        phrase = line.text(*_PHRASE, of=thing).strip()
        if not phrase:
            raise DataError(f"what is looked for is missing: expected one of {', '.join(_PHRASE)}")
        boxes = line.items("boxes", of=thing) if "boxes" in thing else [thing.get("bbox")]
        if not boxes:
            raise DataError(f"{phrase!r} has no box")
        yield Part(("\n" if number else "") + request(phrase))
        yield Part("</box><box>".join(_corners(box, picture) for box in boxes) + "</box>", learnt=True)


def _corners(box: object, picture: Picture) -> str:
    """A box in thousandths, cut off to whole ones as in the released code."""
    sizes = (picture.width_px, picture.height_px) * 2
    if not isinstance(box, list) or len(box := cast("list[object]", box)) != 4:
        raise DataError(f"the box {box!r} is none: expected [left, top, right, bottom] in pixels")
    edges = [edge for edge in box if isinstance(edge, int | float)]
    if len(edges) != 4 or not all(0 <= edge <= size for edge, size in zip(edges, sizes, strict=True)):
        raise DataError(f"the box {box!r} is not within the picture of {picture.width_px} x {picture.height_px} px")
    x1, y1, x2, y2 = (int(edge / size * _SCALE) for edge, size in zip(edges, sizes, strict=True))
    if x1 > x2 or y1 > y2:
        raise DataError(f"the box {box!r} ends before it begins: expected [left, top, right, bottom] in pixels")
    return f"({x1:03d},{y1:03d})({x2:03d},{y2:03d})"


GROUNDING = LineForm(
    name="grounding",
    fits=lambda record: "image" in record and not record.keys().isdisjoint(("bbox", "boxes", "objects")),
    parts=_grounding,
    keys="image with phrase and bbox, or with objects",
)
