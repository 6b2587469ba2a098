"""Stories told in pictures: each caption, then its picture, as in the released code's VIST and PororoSV; all is learnt.

A line is `{"story": [{"image": "1.jpg", "caption": "A dog wakes up."}, ...]}`, in the order of the story.
"""

from collections.abc import Iterator

from mmi_agent.data.readers.documents import learnt_document
from mmi_agent.data.readers.lines import Line, LineForm
from mmi_agent.errors import DataError
from mmi_agent.inference.prompts import Content, Part

__all__ = ["STORIES"]


def _story(line: Line) -> tuple[Part, ...]:
    contents = list(_told(line))
    if not contents:
        raise DataError("'story' is empty")
    return learnt_document(contents)


def _told(line: Line) -> Iterator[Content]:
    for number, turn in enumerate(line.objects("story"), start=1):
        caption = line.text("caption", of=turn).strip()
        if not caption:
            raise DataError(f"picture {number} of the story has no caption")
        yield caption if number == 1 else f" {caption}"
        yield line.picture("image", of=turn)


STORIES = LineForm(
    name="stories",
    fits=lambda record: isinstance(record.get("story"), list),
    parts=_story,
    keys="story (a list of image and caption)",
)
