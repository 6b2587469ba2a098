"""`mmi metrics` with files as a user has them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from mmi_agent.cli.app import app

VOCABULARY = [
    "<|startoftext|>",
    "<|endoftext|>",
    "a</w>",
    "dog</w>",
    "red</w>",
    "a",
    "d",
    "o",
    "g",
    "r",
    "e",
    "do",
    "g</w>",
]


def metrics(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["metrics", *map(str, words)])
    return done.exit_code, done.output


def scored(*words: object) -> dict[str, Any]:
    code, said = metrics(*words, "--json")
    assert code == 0, said
    return json.loads(said)


def lines(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_captions_in_the_form_of_coco(tmp_path: Path) -> None:
    said = [(1, "A dog runs on grass."), (1, "a brown dog"), (2, "A red bus."), (2, "the bus is red")]
    annotations = [{"image_id": number, "caption": text, "id": 100 + i} for i, (number, text) in enumerate(said)]
    truth = tmp_path / "gt.json"
    truth.write_text(json.dumps({"images": [], "annotations": annotations}))
    given = tmp_path / "given.json"
    given.write_text(json.dumps([{"image_id": 1, "caption": "a brown dog"}, {"image_id": 2, "caption": "a boat"}]))
    found = scored("caption", given, truth)
    assert found["items"] == 2
    assert 0 < found["value"] < 1000
    low, high = found["interval_95"]
    assert low <= found["value"] <= high
    code, text = metrics("caption", given, truth)
    assert code == 0
    assert text.startswith("CIDEr: ")
    assert "bootstrap over items" in text
    given.write_text(
        json.dumps([{"image_id": 1, "caption": "a brown dog. It runs."}, {"image_id": 2, "caption": "a boat."}])
    )
    assert scored("caption", given, truth, "--first-sentence")["value"] == found["value"]
    assert scored("caption", given, truth)["value"] < found["value"]


def test_ids_that_are_missing_unknown_or_given_twice_are_named(tmp_path: Path) -> None:
    truth = lines(tmp_path / "true.jsonl", *({"id": n, "answers": ["yes"] * 10} for n in range(5)))
    few = lines(tmp_path / "few.jsonl", {"id": 0, "answer": "yes"})
    code, said = metrics("vqa", few, truth)
    assert code == 1
    assert "few.jsonl lacks 4 of 5 ids ('1', '2', '3', …)" in said
    assert len(said.splitlines()) == 1
    assert scored("vqa", few, truth, "--only-predicted")["value"] == 100
    more = lines(tmp_path / "more.jsonl", *({"id": n, "answer": "yes"} for n in range(6)))
    assert "true.jsonl lacks 1 of 6 ids ('5') of" in metrics("vqa", more, truth)[1]
    twice = lines(tmp_path / "twice.jsonl", {"id": 0, "answer": "yes"}, {"id": "0", "answer": "no"})
    assert "line 2: the id '0' was given before, in" in metrics("vqa", twice, truth)[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"id": 1, "answer": "a"}\n{oops\n', "line 2 is no JSON"),
        ('{"id": 1}', "record 1: answer: Field required"),
        ("[3]", "expected an object with an id, found 3"),
        ("", "holds no record"),
        ("[" * 100_000, "line 1 is no JSON"),
    ],
)
def test_a_file_of_another_form_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    truth = lines(tmp_path / "true.jsonl", {"id": 1, "answer": "yes"})
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text(text)
    code, said = metrics("vqa", wrong, truth)
    assert code == 1
    assert told in said
    assert len(said.splitlines()) == 1


def test_answers_in_the_form_of_the_challenge(tmp_path: Path) -> None:
    people = [{"answer": "red" if number < 2 else "blue", "answer_id": number} for number in range(10)]
    truth = tmp_path / "true.json"
    truth.write_text(json.dumps({"annotations": [{"question_id": 7, "image_id": 3, "answers": people}]}))
    given = lines(tmp_path / "given.jsonl", {"question_id": 7, "answer": "The color is red."})
    assert scored("vqa", given, truth, "--shorten")["value"] == pytest.approx(60)
    assert scored("vqa", given, truth)["value"] == 0


def test_boxes_in_the_released_form_and_in_pixels(tmp_path: Path) -> None:
    size = {"width": 500, "height": 200}
    boxes = {"half": [0, 0, 250, 200], "off": [0, 0, 100, 100], "none": [0, 0, 9, 9], "px": [0, 0, 250, 200]}
    truth = lines(tmp_path / "true.jsonl", *({"id": name, "box": box, **size} for name, box in boxes.items()))
    given = lines(
        tmp_path / "given.jsonl",
        {"id": "half", "text": "(000,000)(500,999)</box>"},
        {"id": "off", "text": "(500,500)(999,999)</box>"},
        {"id": "none", "text": "nowhere"},
        {"id": "px", "box": [0, 0, 240, 200]},
    )
    found = scored("refer", given, truth)
    assert (found["value"], found["right"], found["without_a_box"]) == (50, 2, 1)
    assert found["interval_kind"] == "Wilson"
    half = lines(tmp_path / "half.jsonl", {"id": "px", "box": [0, 0, 250, 200], "width": 500})
    code, told = metrics("refer", given, half)
    assert (code, "both width and height of the picture, or neither" in told) == (1, True), told


def test_dialogues_by_score_and_by_rank(tmp_path: Path) -> None:
    truth = lines(tmp_path / "true.jsonl", *({"image_id": n, "gt_relevance": [0, 1, 0.5]} for n in (1, 2)))
    given = lines(tmp_path / "given.jsonl", {"id": 1, "scores": [0, 9, 5]}, {"id": 2, "ranks": [3, 1, 2]})
    assert scored("visdial", given, truth)["value"] == pytest.approx(100)
    short = lines(tmp_path / "short.jsonl", {"id": 1, "scores": [0, 9]}, {"id": 2, "ranks": [3, 1, 2]})
    assert "'1': 2 scores and 3 relevances" in metrics("visdial", short, truth)[1]


def test_class_maps_of_two_folders(tmp_path: Path) -> None:
    for folder, rows in (("mine", [[1, 1], [2, 3]]), ("true", [[1, 1], [2, 0]])):
        (tmp_path / folder / "val").mkdir(parents=True)
        Image.fromarray(np.array(rows, dtype=np.uint8)).save(tmp_path / folder / "val" / "a.png")
    assert scored("miou", tmp_path / "mine", tmp_path / "true")["value"] == 100
    assert scored("miou", tmp_path / "mine", tmp_path / "true", "--ignore", -1)["value"] == 50
    (tmp_path / "mine" / "val" / "a.png").rename(tmp_path / "mine" / "b.png")
    assert "lacks 1 of 1 ids ('b.png')" in metrics("miou", tmp_path / "mine", tmp_path / "true")[1]


def test_features_from_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]]))
    np.save(tmp_path / "b.npy", np.array([[3.0, 0.0], [5.0, 0.0], [3.0, 2.0], [5.0, 2.0]]))
    found = scored("fid", tmp_path / "a.npy", tmp_path / "b.npy")
    assert (found["value"], found["interval_95"], found["pictures"]) == (pytest.approx(9), None, 4)
    np.save(tmp_path / "c.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    (tmp_path / "empty.npy").touch()
    for name in ("c.npy", "words.npy", "empty.npy"):
        assert "cannot read features" in metrics("fid", tmp_path / "a.npy", tmp_path / name)[1]
    assert "--network DIR" in metrics("fid", tmp_path / "a.npy", tmp_path)[1]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of random weights, as transformers saves it."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    narrow = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**narrow, "vocab_size": len(VOCABULARY), "eos_token_id": 1, "max_position_embeddings": 6},
        vision_config={**narrow, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate(VOCABULARY)}
    merges: Any = [("d", "o"), ("do", "g</w>")]
    CLIPTokenizer(vocab=vocabulary, merges=merges).save_pretrained(folder)
    return folder


def draw(path: Path, colors: Sequence[str]) -> None:
    picture = Image.new("RGB", (40, 32), colors[0])
    picture.paste(colors[1], (0, 0, 20, 32))
    picture.save(path)


def test_likeness_of_pictures_and_texts(tmp_path: Path, clip: Path) -> None:
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    draw(tmp_path / "a.png", ("red", "blue"))
    draw(tmp_path / "b.png", ("white", "black"))
    same = lines(tmp_path / "same.jsonl", {"id": 1, "picture": "a.png", "other": "a.png"})
    assert scored("clip", same, "--model", clip)["value"] == pytest.approx(1, abs=1e-5)

    texts = ["a dog", "red red red red red red red red"]
    pairs = [{"id": n, "picture": f"{n}.png", "text": text} for n, text in zip("ab", texts, strict=True)]
    found = scored("clip", lines(tmp_path / "pairs.jsonl", *pairs), "--model", clip)["value"]
    model, tokenizer = CLIPModel.from_pretrained(clip).eval(), CLIPTokenizer.from_pretrained(clip)
    pixels = CLIPImageProcessorPil.from_pretrained(clip)(
        images=[Image.open(tmp_path / f"{n}.png") for n in "ab"], return_tensors="pt"
    )["pixel_values"]
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=6, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**tokens, pixel_values=pixels).logits_per_image / model.logit_scale.exp()
    assert found == pytest.approx(float(logits.diagonal().mean()), abs=1e-5)


def test_distance_of_folders_with_stories_in_them(tmp_path: Path, clip: Path) -> None:
    for story, colors in (("1", ("red", "blue")), ("2", ("green", "white")), ("3", ("black", "gray"))):
        for folder in ("drawn", "real"):
            (tmp_path / folder / story).mkdir(parents=True)
            draw(tmp_path / folder / story / "0.png", colors if folder == "real" else colors[::-1])
    same = scored("fid", tmp_path / "real", tmp_path / "real", "--network", clip)
    assert same["value"] == pytest.approx(0, abs=1e-4)
    assert (same["pictures"], same["others"]) == (3, 3)
    assert scored("fid", tmp_path / "drawn", tmp_path / "real", "--network", clip)["value"] > 0.01
    code, said = metrics("fid", tmp_path / "drawn", tmp_path / "real", "--network", tmp_path)
    assert code == 1
    assert "expected a folder as save_pretrained of transformers writes it" in said
