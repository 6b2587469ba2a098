"""Pages of text with pictures between: lines as of MMC4, and lines as of OBELICS.

A picture that is missing or damaged is left out as long as another one is left. Of an MMC4 page, as in the released
code: pictures that fit their sentence badly are left out, of the others at most six stand before or after their
sentence as chance has it, sentences are joined by a space, and no space stands beside a picture.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from mmi_agent.data.readers.documents import learnt_document
from mmi_agent.data.readers.lines import Line, LineForm
from mmi_agent.errors import DataError
from mmi_agent.inference.prompts import Content, Part
from mmi_agent.types import Picture, clean_text

__all__ = ["MMC4", "OBELICS"]

_LEAST_SIMILARITY = 0.24
_MOST_PICTURES = 6


def _mmc4(line: Line) -> tuple[Part, ...]:
    sentences = [clean_text(text) if isinstance(text, str) else "" for text in line.items("text_list")]
    if not any(map(str.strip, sentences)):
        raise DataError("'text_list' holds no text")
    chance = line.chance
    placed = list(_placed(line, len(sentences)))
    chance.shuffle(placed)
    pieces: dict[int, list[Content]] = {index: [text] for index, text in enumerate(sentences)}
    for index, picture in sorted(placed[:_MOST_PICTURES], key=lambda each: each[0]):
        at = pieces[index]
        at.insert(0 if chance.random() < 0.5 else len(at), picture)
    return learnt_document(_spaced((piece for at in pieces.values() for piece in at), " "))


def _placed(line: Line, num_sentences: int) -> Iterator[tuple[int, Picture]]:
    """The pictures that can be used, each with the number of its sentence."""
    faults: list[str] = []
    found = False
    for image in line.objects("image_info"):
        index, similarity = image.get("matched_text_index"), image.get("matched_sim", 1.0)
        if not isinstance(index, int) or not 0 <= index < num_sentences:
            raise DataError(f"'matched_text_index' is {index!r}: expected the number of one of {num_sentences} texts")
        if not isinstance(similarity, int | float) or similarity < _LEAST_SIMILARITY:
            continue
        try:
            picture = line.pictures.find(image.get("bytes") or image.get("image_name"))
        except DataError as error:
            faults.append(str(error))
            continue
        found = True
        yield index, picture
    if not found:
        raise DataError(_no_picture(faults))


def _obelics(line: Line) -> tuple[Part, ...]:
    images, texts = line.items("images"), line.items("texts")
    if len(images) != len(texts):
        raise DataError(
            f"{len(images)} 'images' and {len(texts)} 'texts': expected as many, with null where the other is"
        )
    contents: list[Content] = []
    faults: list[str] = []
    for image, text in zip(images, texts, strict=True):
        if isinstance(text, str):
            contents.append(clean_text(text))
        elif image is not None:
            try:
                contents.append(line.pictures.find(image))
            except DataError as error:
                faults.append(str(error))
    if not any(isinstance(content, Picture) for content in contents):
        raise DataError(_no_picture(faults))
    if not any(isinstance(content, str) and content.strip() for content in contents):
        raise DataError("'texts' holds no text")
    return learnt_document(_spaced(contents, "\n\n"))


def _no_picture(faults: list[str]) -> str:
    return f"none of its pictures can be used: {faults[0]}" if faults else "no picture fits it"


def _spaced(contents: Iterable[Content], between: str) -> Iterator[Content]:
    """Joins texts that follow one another; beside a picture there is no space."""
    texts: list[str] = []
    for content in contents:
        if isinstance(content, str):
            texts.append(content.strip(" "))
            continue
        yield between.join(filter(None, texts))
        texts.clear()
        yield content
    yield between.join(filter(None, texts))


def _has_lists(*names: str) -> "Any":
    def fits(record: Mapping[str, Any]) -> bool:
        return all(isinstance(cast("object", record.get(name)), list) for name in names)

    return fits


MMC4 = LineForm(
    name="interleaved",
    fits=_has_lists("text_list", "image_info"),
    parts=_mmc4,
    keys="text_list and image_info (MMC4)",
)
OBELICS = LineForm(
    name="interleaved", fits=_has_lists("texts", "images"), parts=_obelics, keys="texts and images (OBELICS)"
)
