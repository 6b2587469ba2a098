"""Scores files: what each command below `mmi metrics` does with the files of its task."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, model_validator

from mmi_agent.errors import ConfigError
from mmi_agent.evaluation.metrics.answers import shortened, vqa_accuracy
from mmi_agent.evaluation.metrics.captions import cider
from mmi_agent.evaluation.metrics.dialogue import ndcg
from mmi_agent.evaluation.metrics.distance import features_of, frechet_distance, read_features
from mmi_agent.evaluation.metrics.networks import ClipNetwork, VisionNetwork, in_batches
from mmi_agent.evaluation.metrics.pictures import open_file, open_rgb, pictures_below
from mmi_agent.evaluation.metrics.records import Record, by_id, paired, read_records
from mmi_agent.evaluation.metrics.referring import Corners, box_of, in_thousandths, overlap
from mmi_agent.evaluation.metrics.score import Score, mean_score, rate_score
from mmi_agent.evaluation.metrics.segmentation import mean_iou

__all__ = [
    "score_answers",
    "score_captions",
    "score_class_maps",
    "score_dialogues",
    "score_distance",
    "score_likeness",
    "score_references",
]

_ENOUGH_OVERLAP = 0.5


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class _OfPicture(Record):
    """In COCO's own files each caption has a number under "id" besides."""

    id: Annotated[str, BeforeValidator(str)] = Field(validation_alias=AliasChoices("image_id", "id", "image"))


class _Caption(_OfPicture):
    caption: str


class _Captions(_OfPicture):
    captions: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        min_length=1, validation_alias=AliasChoices("captions", "caption")
    )


class _Answer(Record):
    answer: str


class _Said(BaseModel):
    answer: str


class _Answers(Record):
    answers: Annotated[list[str | _Said], BeforeValidator(_as_list)] = Field(
        min_length=1, validation_alias=AliasChoices("answers", "answer")
    )

    @property
    def texts(self) -> list[str]:
        """The data sets have answers as objects, with more about each."""
        return [said if isinstance(said, str) else said.answer for said in self.answers]


class _Found(Record):
    text: str | None = None
    box: Corners | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.text is None) == (self.box is None):
            raise ValueError("expected a text or a box")
        return self


class _True(Record):
    box: Corners
    width: float | None = None
    height: float | None = None

    @model_validator(mode="after")
    def _has_a_whole_size(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("expected both width and height of the picture, or neither")
        return self

    @property
    def size(self) -> tuple[float, float]:
        """Of the picture in pixels; where it is not given, boxes are in thousandths."""
        return (self.width, self.height) if self.width is not None and self.height is not None else (1000, 1000)


class _Ranking(Record):
    scores: list[float] | None = None
    ranks: list[float] | None = None

    @model_validator(mode="after")
    def _ranks_something(self) -> Self:
        if (self.scores is None) == (self.ranks is None):
            raise ValueError("expected scores or ranks")
        return self


class _Relevance(Record):
    relevance: list[float] = Field(validation_alias=AliasChoices("relevance", "gt_relevance"))


class _Pair(Record):
    picture: Path
    text: str | None = None
    other: Path | None = None

    @model_validator(mode="after")
    def _is_a_pair(self) -> Self:
        if (self.text is None) == (self.other is None):
            raise ValueError("expected a text or another picture beside the picture")
        return self


def score_captions(
    predictions: Path, references: Path, *, first_sentence: bool = False, only_predicted: bool = False
) -> Score:
    """CIDEr times 100, as papers print it.

    Args:
        predictions: The model's captions.
        references: People's captions.
        first_sentence: Whether what follows the first full stop of a prediction is cut off.
        only_predicted: Whether pictures without a prediction are left out.

    Raises:
        ConfigError: If a file is not of its form, or an id is missing, unknown or given twice.
    """
    said: dict[str, list[str]] = {}
    for _, record in read_records(references, _Captions):
        said.setdefault(record.id, []).extend(record.captions)
    given = by_id(read_records(predictions, _Caption))
    pairs = paired(given, said, (predictions, references), only_predicted=only_predicted)
    captions = {each: mine.caption.partition(".")[0] if first_sentence else mine.caption for each, mine, _ in pairs}
    scores = cider(captions, {each: theirs for each, _, theirs in pairs})
    return mean_score("CIDEr", list(scores.values()), times=100)


def score_answers(predictions: Path, references: Path, *, shorten: bool = False, only_predicted: bool = False) -> Score:
    """VQA accuracy in percent.

    Args:
        predictions: The model's answers.
        references: People's answers.
        shorten: Whether the answer is first cut out of what the model wrote.
        only_predicted: Whether questions without a prediction are left out.

    Raises:
        ConfigError: As for `score_captions`, or if a question has two or three answers.
    """
    given, true = by_id(read_records(predictions, _Answer)), by_id(read_records(references, _Answers))
    pairs = paired(given, true, (predictions, references), only_predicted=only_predicted)
    values: list[float] = []
    for each, mine, theirs in pairs:
        try:
            values.append(vqa_accuracy(shortened(mine.answer) if shorten else mine.answer, theirs.texts))
        except ConfigError as error:
            raise ConfigError(f"{references}: the question {each!r} has {error}") from error
    return mean_score("VQA accuracy, %", values, times=100)


def score_references(predictions: Path, references: Path, *, only_predicted: bool = False) -> Score:
    """Referring-expression accuracy in percent: boxes that share half of the area with the true one.

    Raises:
        ConfigError: As for `score_captions`, or if a picture has no size.
    """
    given, true = by_id(read_records(predictions, _Found)), by_id(read_records(references, _True))
    pairs = paired(given, true, (predictions, references), only_predicted=only_predicted)
    right = unread = 0
    for each, mine, theirs in pairs:
        box = box_of(mine.text) if mine.text is not None else mine.box
        try:
            target = in_thousandths(theirs.box, *theirs.size)
            found = in_thousandths(box, *theirs.size) if box and mine.text is None else box
        except ConfigError as error:
            raise ConfigError(f"{references}: {each!r} is of {error}") from error
        unread += found is None
        right += found is not None and overlap(found, target) >= _ENOUGH_OVERLAP
    counts = {"right": right, "without_a_box": unread}
    return rate_score("referring-expression accuracy at IoU 0.5, %", right, len(pairs), counts=counts)


def score_dialogues(predictions: Path, references: Path, *, only_predicted: bool = False) -> Score:
    """VisDial's NDCG, times 100.

    Raises:
        ConfigError: As for `score_captions`, or if a ranking does not fit its relevances.
    """
    given, true = by_id(read_records(predictions, _Ranking)), by_id(read_records(references, _Relevance))
    values: list[float] = []
    for each, mine, theirs in paired(given, true, (predictions, references), only_predicted=only_predicted):
        try:
            values.append(ndcg(mine.scores or [-rank for rank in mine.ranks or []], theirs.relevance))
        except ConfigError as error:
            raise ConfigError(f"{each!r}: {error}") from error
    return mean_score("NDCG", values, times=100)


def score_distance(pictures: Path, others: Path, *, network: Path | None = None, device: str = "cpu") -> Score:
    """The Fréchet distance of two sets of pictures, or of their features.

    Args:
        pictures: A folder of pictures, or a file of features.
        others: Likewise.
        network: What makes features of pictures.
        device: Where it runs.

    Raises:
        ConfigError: If a file cannot be read, a folder is given without a network, or the widths differ.
        CheckpointError: If the network cannot be loaded.
    """
    loaded: VisionNetwork | None = None
    both: list[Any] = []
    for source in (pictures, others):
        if not source.is_dir():
            both.append(read_features(source))
            continue
        if network is None:
            raise ConfigError(f"{source} is a folder of pictures: name what makes features of them with --network DIR")
        loaded = loaded or VisionNetwork(network, device)
        both.append(features_of(source, loaded))
    counts = {"pictures": len(both[0]), "others": len(both[1])}
    return Score(metric="Fréchet distance", value=frechet_distance(*both), items=sum(counts.values()), counts=counts)


def score_likeness(pairs: Path, model: Path, *, device: str = "cpu") -> Score:
    """CLIP similarity: the mean cosine of pictures and their texts, or of pictures and other pictures.

    Raises:
        ConfigError: If the file is not of its form, or a picture cannot be read.
        CheckpointError: If the model cannot be loaded.
    """
    records = list(by_id(read_records(pairs, _Pair)).values())
    clip = ClipNetwork(model, device)
    values: list[float] = []
    for batch in in_batches(records):
        of_pictures = clip.features([open_rgb(pairs.parent / pair.picture) for pair in batch])
        for pair, features in zip(batch, of_pictures, strict=True):
            beside = (
                clip.text_features([pair.text])
                if pair.text is not None
                else clip.features([open_rgb(pairs.parent / str(pair.other))])
            )
            values.append(_cosine(features, beside[0]))
    return mean_score("CLIP similarity", values)


def score_class_maps(predicted: Path, true: Path, *, classes: int, ignore: int | None = None) -> Score:
    """Mean intersection over union in percent, of PNG files of the same names in two folders.

    Raises:
        ConfigError: If a file lacks its partner, cannot be read, or does not fit it.
    """
    found = {folder: {_name(path, folder): path for path in pictures_below(folder)} for folder in (predicted, true)}
    pairs = paired(found[predicted], found[true], (predicted, true))
    value = mean_iou(_maps(pairs), classes=classes, ignore=ignore)
    return Score(metric="mIoU, %", value=100 * value, items=len(pairs))


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _maps(pairs: list[tuple[str, Path, Path]]) -> Iterator[tuple[Any, Any]]:
    import numpy as np

    for name, mine, theirs in pairs:
        maps = [np.array(open_file(path)) for path in (mine, theirs)]
        if any(each.ndim != 2 for each in maps):
            raise ConfigError(f"{name}: expected class maps of one channel, found {[each.shape for each in maps]}")
        yield maps[0], maps[1]


def _cosine(features: Any, other: Any) -> float:
    return float(features @ other / (features.norm() * other.norm()))
