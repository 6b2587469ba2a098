"""`mmi metrics`: scores what a model wrote or drew for the tasks of the released model's paper."""

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmi_agent.cli.options import Json

if TYPE_CHECKING:
    from mmi_agent.evaluation.metrics import Score

__all__ = ["caption", "clip", "fid", "miou", "refer", "visdial", "vqa"]

_Predictions = Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="What the model said.")]
_References = Annotated[Path, typer.Argument(metavar="REFERENCES", help="What people said.")]
_OnlyPredicted = Annotated[
    bool, typer.Option("--only-predicted", help="Leave out what has no prediction, instead of refusing.")
]
_Device = Annotated[str, typer.Option(metavar="NAME", help="Where the network runs: cpu, cuda, cuda:1.")]


def caption(
    predictions: _Predictions,
    references: _References,
    first_sentence: Annotated[
        bool, typer.Option("--first-sentence", help="Cut each caption at its first full stop, as was done for COCO.")
    ] = False,
    only_predicted: _OnlyPredicted = False,
    json: Json = False,
) -> None:
    """CIDEr of captions and paragraphs, times 100: COCO, Flickr30k, NoCaps, Image2Paragraph.

    Words are split as the Penn treebank is, and scores are those of pycocoevalcap; no Java is needed. The weight of a
    word depends on all references in the file: a part of a test set has another score than its part of the whole.

    Files:
      JSON lines, a JSON list, or an object with the list under "annotations"
      PREDICTIONS  {"id": 7, "caption": "a dog"}
      REFERENCES   {"id": 7, "captions": ["a dog", "a pug"]}
                   {"id": 7, "caption": "a dog"}, once for each, as COCO has them
      The id may be called image_id.

    Examples:
      mmi metrics caption captions.jsonl coco_karpathy_test_gt.json
    """
    from mmi_agent.evaluation.metrics.files import score_captions

    _print(score_captions(predictions, references, first_sentence=first_sentence, only_predicted=only_predicted), json)


def vqa(
    predictions: _Predictions,
    references: _References,
    shorten: Annotated[
        bool, typer.Option("--shorten", help="Cut the answer out of a sentence first, as the released evaluation does.")
    ] = False,
    only_predicted: _OnlyPredicted = False,
    json: Json = False,
) -> None:
    """Accuracy of answers, in percent: VQAv2, OKVQA, VizWiz, TextVQA, and GQA with its single answers.

    An answer that three of the other people gave is right; answers are normalised as the VQA challenge does.

    Files:
      JSON lines, a JSON list, or an object with the list under "annotations"
      PREDICTIONS  {"id": 7, "answer": "two"}
      REFERENCES   {"id": 7, "answers": ["2", "two", ...]}, ten of them
                   {"id": 7, "answer": "2"}, the single right one
      The id may be called question_id.

    Examples:
      mmi metrics vqa answers.json v2_mscoco_val2014_annotations.json --shorten
    """
    from mmi_agent.evaluation.metrics.files import score_answers

    _print(score_answers(predictions, references, shorten=shorten, only_predicted=only_predicted), json)


def refer(
    predictions: _Predictions, references: _References, only_predicted: _OnlyPredicted = False, json: Json = False
) -> None:
    """Accuracy of finding what a sentence refers to, in percent: RefCOCO, RefCOCO+, RefCOCOg.

    Right is a box whose area shares at least half with the true one. A text without a readable box is wrong.

    Files:
      JSON lines, a JSON list, or an object with the list under "annotations"
      PREDICTIONS  {"id": 7, "text": "(120,080)(455,990)</box>"}, the released form
                   {"id": 7, "box": [57, 38, 218, 475]}
      REFERENCES   {"id": 7, "box": [60, 40, 220, 480], "width": 480, "height": 480}
      A box is left, top, right, bottom: in pixels where the picture's size
      is given, in thousandths of it otherwise.

    Examples:
      mmi metrics refer boxes.jsonl refcoco_testA.jsonl
    """
    from mmi_agent.evaluation.metrics.files import score_references

    _print(score_references(predictions, references, only_predicted=only_predicted), json)


def visdial(
    predictions: _Predictions, references: _References, only_predicted: _OnlyPredicted = False, json: Json = False
) -> None:
    """NDCG of ranked answers in a dialogue, times 100: VisDial with its dense annotations.

    Files:
      JSON lines, a JSON list, or an object with the list under "annotations"
      PREDICTIONS  {"id": 7, "scores": [0.1, 3.2, ...]}
                   {"id": 7, "ranks": [2, 1, ...]}, 1 being the best
      REFERENCES   {"id": 7, "relevance": [0, 0.5, ...]}
      The id may be called image_id, the relevance gt_relevance.

    Examples:
      mmi metrics visdial scores.jsonl visdial_1.0_val_dense_annotations.json
    """
    from mmi_agent.evaluation.metrics.files import score_dialogues

    _print(score_dialogues(predictions, references, only_predicted=only_predicted), json)


def fid(
    pictures: Annotated[Path, typer.Argument(metavar="PICTURES", help="What was drawn: a folder, or features.")],
    others: Annotated[Path, typer.Argument(metavar="OTHERS", help="Real ones: a folder, or features.")],
    network: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What makes features of pictures: a vision model as transformers saves it."),
    ] = None,
    device: _Device = "cpu",
    json: Json = False,
) -> None:
    """The Fréchet distance of two sets of pictures; with features of Inception it is FID.

    A folder is searched with all folders below it, so that the frames of stories in folders of their own are one set:
    story FID. Features are a .npy or .safetensors file of shape (pictures, width). The FID of papers takes the 2048
    numbers of Inception's last pool, which need torchvision: docs/evaluation.md says how to extract them elsewhere.
    There is no interval: the distance itself falls with the number of pictures; compare equal numbers alone.

    Examples:
      mmi metrics fid drawn.npy coco-30k.npy
      mmi metrics fid drawn/ real/ --network clip-vit-large-patch14/
    """
    from mmi_agent.evaluation.metrics.files import score_distance

    _print(score_distance(pictures, others, network=network, device=device), json)


def clip(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="Which pictures belong to what.")],
    model: Annotated[Path, typer.Option(metavar="DIR", help="CLIP as transformers saves it; the paper's is ViT-L/14.")],
    device: _Device = "cpu",
    json: Json = False,
) -> None:
    """CLIP similarity: the mean cosine of drawn pictures with their texts, or with the real pictures.

    Files:
      JSON lines, a JSON list, or an object with the list under "annotations"
      PAIRS        {"id": 7, "picture": "drawn/7.png", "text": "a dog"}
                   {"id": 7, "picture": "drawn/7.png", "other": "real/7.jpg"}
      Paths are relative to the folder of PAIRS.

    Examples:
      mmi metrics clip pairs.jsonl --model clip-vit-large-patch14/
    """
    from mmi_agent.evaluation.metrics.files import score_likeness

    _print(score_likeness(pairs, model, device=device), json)


def miou(
    predicted: Annotated[Path, typer.Argument(metavar="PREDICTED", help="A folder of class maps.")],
    true: Annotated[Path, typer.Argument(metavar="TRUE", help="A folder of class maps of the same names.")],
    classes: Annotated[int, typer.Option(metavar="N", min=2, help="How many numbers there are, from 0 on.")] = 151,
    ignore: Annotated[
        int, typer.Option(metavar="N", help="True pixels of this number do not count; -1 counts all.")
    ] = 0,
    json: Json = False,
) -> None:
    """Mean intersection over union of class maps, in percent: ADE20K pictures that were drawn from a segmentation.

    A class map is a PNG of one channel whose values are class numbers; all maps are counted together. By default the
    numbers are those of ADE20K: 0 is unlabelled, 1 to 150 are classes. To score drawn pictures, segment them with a
    model that you trust (the paper's is OneFormer with DiNAT-L) and save its classes plus 1.

    Examples:
      mmi metrics miou segmented/ ade20k/annotations/validation/
    """
    from mmi_agent.evaluation.metrics.files import score_class_maps

    _print(score_class_maps(predicted, true, classes=classes, ignore=None if ignore < 0 else ignore), json)


def _print(score: "Score", json: bool) -> None:
    if json:
        print(json_format.dumps(score.to_json()))
        return
    print(f"{score.metric}: {score.value:.2f}" if abs(score.value) >= 1 else f"{score.metric}: {score.value:.4f}")
    counts = ", ".join(f"{name.replace('_', ' ')}: {count:,}" for name, count in score.counts.items())
    print(f"items: {score.items:,}" + (f" ({counts})" if counts else ""))
    if score.interval:
        low, high = score.interval
        digits = 2 if abs(score.value) >= 1 else 4
        print(f"95 % interval: {low:.{digits}f} to {high:.{digits}f} ({score.interval_kind})")
