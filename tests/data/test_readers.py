"""Every form of data becomes the parts that are learnt from it; what is broken is named and stops nothing."""

import gzip
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from mmi_agent.data.encoding import encode_sample
from mmi_agent.data.readers import FORMS, fingerprint, open_data
from mmi_agent.data.sample import Sample
from mmi_agent.errors import DataError
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.configs import tiny
from tests.data.toy_data import PICTURE, archive, base64, captions, jpeg, lines, noise, reasons, told

ASKED = "Provide the bounding box coordinate of the region this sentence describes. "


def test_an_mmc4_page_has_its_pictures_beside_their_sentences(tmp_path: Path) -> None:
    def image(name: str, sentence: int, similarity: float = 0.3) -> dict[str, object]:
        return {"image_name": name, "matched_text_index": sentence, "matched_sim": similarity}

    page = {"text_list": ["One.", "Two.", "Three."], "image_info": [image("red.jpg", 1), image("gone.jpg", 0)]}
    unfit = {**page, "image_info": [image("red.jpg", 1, similarity=0.2)]}
    gone = {**page, "image_info": [image("gone.jpg", 0)]}
    beyond = {**page, "image_info": [image("red.jpg", 3)]}
    reader = open_data(lines(tmp_path / "docs.jsonl", page, unfit, gone, beyond, "", "{oops", "7"))
    assert (reader.form, len(reader)) == ("interleaved", 6)
    first = told(reader[0])
    assert first in (
        [("One.", True), (PICTURE, True), ("Two. Three.", True)],
        [("One. Two.", True), (PICTURE, True), ("Three.", True)],
    )
    assert told(reader[0]) == first  # chance is settled by the line
    wrong = reasons(reader)
    assert wrong[0] == "docs.jsonl: line 2: no picture fits it"
    assert wrong[1] == "docs.jsonl: line 3: none of its pictures can be used: the picture 'gone.jpg' is missing"
    assert "line 4: 'matched_text_index' is 3: expected the number of one of 3 texts" in wrong[2]
    assert wrong[3].startswith("docs.jsonl: line 6: no JSON")  # the empty line 5 counts as a line and not as a sample
    assert wrong[4] == "docs.jsonl: line 7: 7: expected a JSON object"


def test_an_mmc4_page_has_at_most_six_pictures_in_the_order_of_its_text(tmp_path: Path) -> None:
    images = [{"image_name": "red.jpg", "matched_text_index": index} for index in range(9)]
    page = {"text_list": [f"{index}." for index in range(9)], "image_info": images}
    pages = open_data(lines(tmp_path / "docs.jsonl", *[page] * 8))
    for page_told in map(told, pages):
        texts = " ".join(content for content, _ in page_told if content != PICTURE)
        assert texts == "0. 1. 2. 3. 4. 5. 6. 7. 8."
        assert sum(content == PICTURE for content, _ in page_told) == 6
    assert len({tuple(map(tuple, told(page))) for page in pages}) > 1


def test_an_obelics_page_keeps_its_order_and_does_without_a_missing_picture(tmp_path: Path) -> None:
    page = {"images": ["blue.jpg", None, None, "gone.jpg", base64("green")], "texts": [None, "A. ", "B.", None, None]}
    uneven = {"images": ["blue.jpg"], "texts": []}
    reader = open_data(lines(tmp_path / "docs.jsonl", page, uneven))
    assert told(reader[0]) == [(PICTURE, False), ("A.\n\nB.", True), (PICTURE, True)]
    assert "1 'images' and 0 'texts'" in reasons(reader)[0]


def test_pairs_come_in_either_order_from_an_archive_and_from_lines(tmp_path: Path) -> None:
    members = [
        (f"{k:03}.{ending}", data) for k in range(24) for ending, data in (("jpg", jpeg("red")), ("txt", b"A\n Cup"))
    ]
    members += [("shut/a.b.png", jpeg("red")), ("shut/a.json", b'{"caption": "Door"}'), ("x.txt", b"no picture")]
    members += [("y.jpg", jpeg("red")[:200]), ("y.txt", b"half a picture"), ("z.jpg", jpeg("red"))]
    for name in ("shard.tar", "shard.tar.gz"):
        reader = open_data(archive(tmp_path / name, members))
        assert (reader.form, len(reader)) == ("pairs", 28)
        orders = [told(reader[number]) for number in range(24)]
        assert (
            orders.count([(PICTURE, False), ("a cup", True)]) + orders.count([("a cup", True), (PICTURE, True)]) == 24
        )
        assert 4 < orders.count([("a cup", True), (PICTURE, True)]) < 20
        wrong = reasons(reader)
        assert wrong[0].startswith(f"{name}: shut/a: it has no picture")  # "b.png" is no ending of a picture
        assert wrong[1].startswith(f"{name}: x: it has no picture")
        assert "y: 200 bytes are not a picture" in wrong[2]
        assert wrong[3].startswith(f"{name}: z: it has no caption")
    reader = open_data(lines(tmp_path / "pairs.jsonl", {"image": "red.jpg", "caption": ["A", "Cup"]}))
    assert dict(told(reader[0]))["a cup"]


@pytest.mark.parametrize("name", ["shard.tar", "shard.tar.gz"])
def test_an_archive_that_is_cut_off_gives_what_is_whole_and_says_where_it_ends(name: str, tmp_path: Path) -> None:
    members = [(f"{k}.{ending}", data) for k in range(40) for ending, data in (("txt", b"cup"), ("jpg", noise()))]
    path = archive(tmp_path / name, members)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reader = open_data(path)
    whole = [each for each in reader if isinstance(each, Sample)]
    assert 10 < len(whole) < 30
    assert f"cut off or damaged at {len(whole)}.jpg" in reasons(reader)[-1]
    assert all("cup" in dict(told(sample)) for sample in whole)


def test_grounding_asks_in_the_released_words_and_learns_the_box(tmp_path: Path) -> None:
    cup = {"phrase": "the cup", "bbox": [10, 5, 30, 30]}
    cups = {"phrase": "both", "boxes": [[0, 0, 10, 15], [0, 0, 40, 30]]}
    path = lines(
        tmp_path / "boxes.jsonl",
        {"image": "red.jpg", **cup},
        {"image": "red.jpg", "objects": [cup, cups]},
        {"image": "red.jpg", "phrase": "the cup", "bbox": [10, 5, 41, 30]},
        {"image": "red.jpg", "phrase": "the cup", "bbox": [30, 5, 10, 30]},
        {"image": "red.jpg", "phrase": "the cup", "bbox": "10,5"},
        {"image": "red.jpg", "bbox": [10, 5, 30, 30]},
    )
    reader = open_data(path)
    assert reader.form == "grounding"
    one = [(PICTURE, False), (f"{ASKED}the cup<box>", False), ("(249,166)(749,999)</box>", True)]
    two = [(f"\n{ASKED}both<box>", False), ("(000,000)(249,499)</box><box>(000,000)(999,999)</box>", True)]
    assert told(reader[0]) == one
    assert told(reader[1]) == [*one, *two]
    expected = ["not within the picture of 40 x 30 px", "ends before it begins", "in pixels", "is missing"]
    assert all(end in wrong for end, wrong in zip(expected, reasons(reader), strict=True))


def test_a_segmentation_is_read_and_its_picture_learnt(tmp_path: Path) -> None:
    folder = tmp_path / "ade"
    for name in ("images/train", "segmentation/train"):
        (folder / name).mkdir(parents=True)
    for name in ("1", "2", "3"):
        (folder / f"images/train/{name}.jpg").write_bytes(jpeg("blue"))
    (folder / "images/train/1.txt").write_text("a street.\n")
    labels = Image.new("P", (8, 8), 1)
    labels.putpalette([0, 0, 0, 120, 120, 200])
    labels.save(folder / "segmentation/train/1.png")
    Image.new("L", (8, 8), 1).save(folder / "segmentation/train/2.png")
    reader = open_data(folder)
    assert (reader.form, len(reader)) == ("segmentation", 3)
    assert told(reader[0]) == [(PICTURE, False), ("a street.", True), (PICTURE, True)]
    grey, missing = reasons(reader)
    assert grey.startswith("ade/images/train/2.jpg: the map is a grey picture (mode L)")
    assert missing == "ade/images/train/3.jpg: it has no map 'train/3.png' in segmentation"
    line = {"segmentation": "segmentation/train/1.png", "image": "images/train/2.jpg"}
    reader = open_data(lines(folder / "pairs.jsonl", line))
    assert (reader.form, told(reader[0])) == ("segmentation", [(PICTURE, False), (PICTURE, True)])


def test_a_story_is_learnt_caption_by_picture(tmp_path: Path) -> None:
    turns = [{"image": "red.jpg", "caption": "A dog."}, {"image": "blue.jpg", "caption": "It runs."}]
    path = lines(
        tmp_path / "stories.jsonl",
        {"story": turns},
        {"story": [{**turns[0], "image": "gone.jpg"}]},
        {"story": []},
        {"story": [turns[0], "It runs."]},
        {"story": [None]},
        {"story": [turns[0], 0, ""]},
    )
    reader = open_data(path)
    assert told(reader[0]) == [("A dog.", True), (PICTURE, True), (" It runs.", True), (PICTURE, True)]
    assert [wrong.partition(": line ")[2] for wrong in reasons(reader)] == [
        "2: the picture 'gone.jpg' is missing",
        "3: 'story' is empty",
        "4: 'story' holds \"It runs.\": expected objects",
        "5: 'story' holds nothing: expected objects",
        "6: 'story' holds 0: expected objects",
    ]


def test_parts_say_themselves_what_is_learnt(tmp_path: Path) -> None:
    chat = [{"marker": "<|im_start|>"}, {"text": "user\n"}, {"marker": "<|im_end|>", "learnt": True}]
    shown = [{"text": "<|im_end|>? "}, {"picture": {"bytes": base64("red")}}, {"text": "Red.", "learnt": True}]
    path = lines(
        tmp_path / "own.jsonl",
        {"parts": shown},
        {"parts": chat},
        {"parts": [{"text": "read alone"}]},
        {"parts": [{"text": "a", "picture": "red.jpg"}]},
        {"parts": [{"text": "a", "learnt": "yes"}]},
    )
    reader = open_data(path)
    assert told(reader[0]) == [("<|im_end|>? ", False), (PICTURE, False), ("Red.", True)]
    assert told(reader[1]) == [("<|im_start|>", False), ("user\n", False), ("<|im_end|>", True)]
    assert len(reasons(reader)) == 3
    config, tokenizer = tiny(), Tokenizer.byte_level()
    sample = reader[0]
    assert isinstance(sample, Sample)
    encoded = encode_sample(sample, tokenizer, config, max_positions=999)
    learnt = [token.id for token in encoded.tokens if token.learnt]
    assert learnt == [*tokenizer.encode("Red."), config.end_of_text]
    assert tokenizer.special("<|im_start|>") not in [token.id for token in encoded.tokens]


def test_the_form_is_found_or_named(tmp_path: Path) -> None:
    strange = lines(tmp_path / "strange.jsonl", "{oops", {"prompt": "a", "answer": "b"})
    with pytest.raises(DataError, match="lines with answer, prompt are of no form") as error:
        open_data(strange)
    assert all(form in str(error.value) for form in FORMS if form not in ("trajectory", "screens"))
    with pytest.raises(DataError, match=r"unknown form 'sft': expected one of trajectory, parts, interleaved"):
        open_data(strange, form="sft")
    assert "'story' is nothing: expected a list" in reasons(open_data(strange, form="stories"))[1]
    with pytest.raises(DataError, match="none of its first 100 lines is a JSON object"):
        open_data(lines(tmp_path / "notes.txt", "hello"))
    with pytest.raises(DataError, match="there is no "):
        open_data(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no data: expected trajectory.jsonl in it or below, files that end in"):
        open_data(Path(tmp_path / "empty").mkdir() or tmp_path / "empty")
    with pytest.raises(DataError, match="is an archive, which holds pairs"):
        open_data(archive(tmp_path / "a.tar", [("1.jpg", b"")]), form="stories")
    (tmp_path / "noise.tar").write_bytes(b"noise" * 1000)
    with pytest.raises(DataError, match=r"noise.tar is no tar that can be read"):
        open_data(tmp_path / "noise.tar")


def test_a_folder_of_shards_is_one_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    captions(folder / "b.jsonl", 2)
    packed = captions(tmp_path / "a.jsonl", 3).read_bytes()
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(packed))
    archive(folder / "c.tar", [("1.jpg", jpeg("red")), ("1.txt", b"cup")])
    reader = open_data(folder)
    assert (reader.form, len(reader)) == ("parts, pairs", 6)
    assert [each.source for each in reader][2:] == [
        "shards/a.jsonl.gz: line 3",
        "shards/b.jsonl: line 1",
        "shards/b.jsonl: line 2",
        "shards/c.tar: 1",
    ]


def test_a_shard_that_cannot_be_read_is_broken_and_stops_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    good = captions(folder / "a.jsonl", 2)
    (folder / "._a.jsonl").write_bytes(b"\0\5\26\7 no text")  # as another system leaves beside a copy
    (folder / "b.jsonl").touch()
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(good.read_bytes())[:20])
    (folder / "d.tar").write_bytes(b"no tar")
    reader = open_data(folder)
    assert (reader.form, len(reader)) == ("parts", 5)
    empty, cut, no_tar = reasons(reader)
    assert empty.startswith("shards/b.jsonl: none of its first 100 lines is a JSON object")
    assert cut.startswith("shards/c.jsonl.gz: the compressed file is cut off or damaged")
    assert no_tar.startswith("shards/d.tar: ")
    assert [reader.source(number) for number in (1, 3)] == ["shards/a.jsonl: line 2", "shards/c.jsonl.gz"]
    with pytest.raises(DataError, match=r"c.jsonl.gz: the compressed file is cut off or damaged"):
        open_data(folder / "c.jsonl.gz")
    good.unlink()
    with pytest.raises(DataError, match=r"none of its 3 files can be read: .*b.jsonl: none of its first"):
        open_data(folder)


def test_names_are_known_without_reading_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar = archive(tmp_path / "a.tar", [("1.jpg", jpeg("red")), ("1.txt", b"cup"), ("2.txt", b"alone")])
    for name in ("images", "segmentation"):
        (tmp_path / "ade" / name).mkdir(parents=True)
        (tmp_path / "ade" / name / "1.png").write_bytes(b"no picture")
    for path in (tar, tmp_path / "ade"):
        reader = open_data(path)
        named = [each.source for each in reader]
        with monkeypatch.context() as patch:
            patch.setattr(type(reader), "__getitem__", lambda *_: pytest.fail("a sample was read"))
            assert [reader.source(number) for number in range(len(reader))] == named


def test_a_shard_is_never_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("w") as file:
        for _ in range(3000):
            file.write('{"parts": [{"text": "' + "word " * 2000 + '", "learnt": true}]}\n')
    tracemalloc.start()
    reader = open_data(path)
    assert isinstance(reader[2999], Sample)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < path.stat().st_size / 20


def test_other_data_has_another_fingerprint(tmp_path: Path) -> None:
    path = captions(tmp_path / "own.jsonl", 3)
    before = fingerprint(path), fingerprint(tmp_path)
    assert (fingerprint(path), fingerprint(tmp_path)) == before
    path.write_bytes(path.read_bytes().replace(b'"1"', b'"7"'))
    assert fingerprint(path) != before[0]
    assert fingerprint(tmp_path) != before[1]
