"""Samples written out part by part, for whatever has no form of its own here.

A line is `{"parts": [{"text": "What is it? "}, {"picture": "1.png"}, {"text": "A cup.", "learnt": true}]}`. A part is
text, a picture, or a marker of the tokenizer by name, as in `{"marker": "<|im_end|>"}`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmi_agent.data.readers.lines import Line, LineForm
from mmi_agent.errors import DataError
from mmi_agent.inference.prompts import Content, Part, Special

__all__ = ["PARTS"]


def _parts(line: Line) -> tuple[Part, ...]:
    parts = tuple(_each(line))
    if not any(part.learnt for part in parts):
        raise DataError('nothing of it is learnt: expected "learnt": true in at least one part')
    return parts


def _each(line: Line) -> Iterator[Part]:
    for part in line.objects("parts"):
        learnt = part.get("learnt", False)
        if not isinstance(learnt, bool):
            raise DataError(f"'learnt' is {learnt!r}: expected true or false")
        yield Part(_content(line, part), learnt)


def _content(line: Line, part: Mapping[str, Any]) -> Content:
    match sorted(part.keys() - {"learnt"}):
        case ["text"]:
            return line.text("text", of=part)
        case ["picture"]:
            return line.picture("picture", of=part)
        case ["marker"]:
            return Special(line.text("marker", of=part))
        case other:
            raise DataError(f"a part has {', '.join(other) or 'nothing'}: expected one of text, picture and marker")


PARTS = LineForm(
    name="parts",
    fits=lambda record: isinstance(record.get("parts"), list),
    parts=_parts,
    keys="parts (a list of text, picture or marker)",
)
