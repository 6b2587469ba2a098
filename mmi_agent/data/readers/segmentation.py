"""Maps of labels and the pictures that they lay out: the map is read, then the caption and the picture are learnt.

Either JSON lines, `{"segmentation": "maps/1.png", "image": "1.jpg", "caption": "a street"}`, or a folder with `images`
and `segmentation` (or `annotations_with_color`, as ADE20K's are called there), whose files have the same names but for
the ending; a caption stands beside the picture, in a `.txt` of its name. A map has its labels in colours: numbers in a
grey picture look alike to a model.
"""

from collections.abc import Iterator
from pathlib import Path

from mmi_agent.data.readers.documents import learnt_document
from mmi_agent.data.readers.lines import Line, LineForm
from mmi_agent.data.readers.reader import Reader
from mmi_agent.data.readers.source_pictures import SourcePictures
from mmi_agent.data.sample import Broken, Sample
from mmi_agent.errors import DataError
from mmi_agent.inference.prompts import Content, Part
from mmi_agent.pictures import open_png
from mmi_agent.types import Picture, clean_text

__all__ = ["SEGMENTATION", "SegmentationFolder"]

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
_MAPS = ("segmentation", "annotations_with_color")


def _segmentation(line: Line) -> tuple[Part, ...]:
    labels = line.picture("segmentation")
    return _laid_out(labels, line.pictures, line.text("caption"), line.picture("image"))


def _laid_out(labels: Picture, pictures: SourcePictures, caption: str, picture: Picture) -> tuple[Part, ...]:
    if (mode := open_png(pictures.get(labels.digest)).mode)[0] in "LI1":
        raise DataError(f"the map is a grey picture (mode {mode}): give it a palette, a colour for each label")
    said: list[Content] = [f"{caption.strip().rstrip('.')}."] if caption.strip() else []
    return learnt_document([labels, *said, picture])


class SegmentationFolder(Reader):
    """A folder with pictures and, under the same names, their maps."""

    form = "segmentation"

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder
        self._maps = next((folder / name for name in _MAPS if (folder / name).is_dir()), folder / _MAPS[0])
        self._pictures = sorted(_pictures_in(folder / "images"))

    @classmethod
    def fits(cls, folder: Path) -> bool:
        """Whether a folder has what is needed."""
        return (folder / "images").is_dir() and any((folder / name).is_dir() for name in _MAPS)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, number: int, /) -> Sample | Broken:
        path = self._folder / "images" / self._pictures[number]
        source = self.source(number)
        pictures = SourcePictures([Path()])
        try:
            labels = pictures.find(str(self._map_of(self._pictures[number])))
            caption_file = path.with_suffix(".txt")
            caption = caption_file.read_text(encoding="utf-8", errors="replace") if caption_file.is_file() else ""
            parts = _laid_out(labels, pictures, clean_text(caption), pictures.find(str(path)))
        except DataError as error:
            return Broken(source=source, reason=str(error))
        return Sample(parts=parts, pictures=pictures, source=source)

    def source(self, number: int, /) -> str:
        """Where one comes from."""
        return f"{self._folder.resolve().name}/images/{self._pictures[number].as_posix()}"

    def _map_of(self, picture: Path) -> Path:
        named = (self._maps / picture.with_suffix(ending) for ending in (".png", ".webp"))
        found = next((path for path in named if path.is_file()), None)
        if found is None:
            raise DataError(f"it has no map {picture.with_suffix('.png').as_posix()!r} in {self._maps.name}")
        return found


def _pictures_in(folder: Path) -> Iterator[Path]:
    return (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)


SEGMENTATION = LineForm(
    name="segmentation",
    fits=lambda record: "segmentation" in record and "image" in record,
    parts=_segmentation,
    keys="segmentation, image, caption",
)
