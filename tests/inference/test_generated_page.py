"""A page becomes text and pictures and back, and a manifest brings the same bytes back."""

import hashlib
import io
import re
from pathlib import Path

import pytest
import torch
from markdown_it import MarkdownIt
from PIL import Image

from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.inference.drawing import DrawSettings
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.page import PageRun, copy_pictures, output_folder, read_page
from mmi_agent.inference.page_manifest import Page, PageManifest, Setup, WriteSettings, differences, read_page_manifest
from mmi_agent.inference.picture_references import find_references, without_pictures
from mmi_agent.inference.sampling import Sampling
from mmi_agent.pictures import FolderPictures, MemoryPictures
from mmi_agent.types import Picture, Text

SETTINGS = WriteSettings(
    seed=3,
    max_tokens=16,
    sampling=Sampling(temperature=1.0),
    structure=("text", "picture", "text", "picture"),
    drawing=DrawSettings(steps=3),
)


@pytest.fixture(scope="module")
def tiny() -> MMInterleaved:
    return MMInterleaved.from_pretrained("tiny")


def _save_picture(path: Path, colour: str, mode: str = "RGB") -> None:
    Image.new(mode, (60, 40), colour).save(path)


def _run(tiny: MMInterleaved, page: Page, source: FolderPictures, folder: Path) -> PageManifest:
    with output_folder(folder) as unfinished:
        store = FolderPictures(unfinished / "pictures")
        copy_pictures(page, source, store)
        run = PageRun(tiny, page, SETTINGS, store)
        for _ in run.pieces():
            pass
        return run.save(unfinished)


MARKDOWN = r"""# A tale ![title](a.png) #

Two in a line: ![one](a.png)![two](<b c.png> "the \"title\""), a `![code](no.png)` and \![escaped](no.png).

```
![fenced](no.png)
```
> quoted ![over two
>    lines](a.png), linked [![in a link](b%20c.png)](page.html)

<!-- ![a comment](no.png) -->

- in a list ![by name][ref] `` ![a](no.png) `` ![a](a.png)

    ![words ![within](no.png)](a.png)

        ![indented code](no.png)

[ref]: a.png
~~~
![never closed](no.png)
"""


def test_finds_the_pictures_that_markdown_shows_and_no_others() -> None:
    found = find_references(MARKDOWN)
    assert [(reference.target, reference.line) for reference in found] == [
        *[("a.png", 1), ("a.png", 3), ("b c.png", 3), ("a.png", 8), ("b c.png", 9)],
        *[("a.png", 13), ("a.png", 13), ("a.png", 15)],
    ]
    for reference in found:
        assert MARKDOWN[reference.start] == "!"
        assert MARKDOWN[reference.end - 1] in ")]"
    assert MARKDOWN[found[3].start : found[3].end] == "![over two\n>    lines](a.png)"


def test_a_page_is_text_and_pictures_in_reading_order(tmp_path: Path) -> None:
    _save_picture(tmp_path / "a.png", "red")
    _save_picture(tmp_path / "b c.png", "blue")
    store = MemoryPictures()
    page = read_page(tmp_path / "tale.md", MARKDOWN.replace("\n", "\r\n").encode(), store)
    blocks = page.blocks(store)
    assert [source.target for source in page.pictures] == [reference.target for reference in find_references(MARKDOWN)]
    digests = [block.digest for block in blocks if isinstance(block, Picture)]
    assert digests == [source.digest for source in page.pictures]
    text = "|".join(block.text for block in blocks if isinstance(block, Text))
    expected, end = "", 0
    for reference in find_references(MARKDOWN):
        between = MARKDOWN[end : reference.start]
        expected += f"{between}|" if between else ""
        end = reference.end
    assert text == expected + MARKDOWN[end:].removesuffix("\n")
    assert '"the \\"title\\""' in page.markdown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "page.md is empty: expected text or a picture"),
        (b" \n\n", "page.md is empty"),
        (b"one\n\nsm\xf6r", "page.md, line 3: the byte 0xf6 is not UTF-8"),
        (b"one\n\n![x](gone.png)", "page.md, line 3: the picture 'gone.png' is missing"),
        (b"one\n![x](broken.png)", "page.md, line 2: the picture 'broken.png' is none"),
        (b"\n![x](torn.png)", "page.md, line 2: the picture 'torn.png' is none"),
        (b"![x](.)", "line 1: the picture '.' is missing"),
        (b"![x]()", "line 1: the picture '' is missing"),
        (b"![x](https://example.org/a.png)", "is on the web, and nothing is fetched"),
        (b"![x](//example.org/a.png)", "is on the web, and nothing is fetched"),
        (b"![x](data:image/png;base64,AAAA)", "is a data: address: expected a file"),
        (b"![x](file:///etc/passwd)", "is a file: address: expected a file"),
    ],
)
def test_bad_pages_are_named_with_their_line(tmp_path: Path, text: bytes, told: str) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    _save_picture(tmp_path / "torn.png", "red")
    whole = (tmp_path / "torn.png").read_bytes()
    (tmp_path / "torn.png").write_bytes(whole.replace(b"IDAT", b"IDAX"))
    with pytest.raises(ConfigError) as caught:
        read_page(tmp_path / "page.md", text, MemoryPictures())
    assert told in str(caught.value)


def test_a_manifest_brings_the_same_bytes_back(tiny: MMInterleaved, tmp_path: Path) -> None:
    _save_picture(tmp_path / "a.jpg", "red", "CMYK")
    source = FolderPictures(tmp_path / "given")
    page = read_page(tmp_path / "page.md", b"![a cup](a.jpg) is what\n", source)
    first = _run(tiny, page, source, tmp_path / "first")
    kept = read_page_manifest(tmp_path / "first")
    assert kept == first
    second = _run(tiny, kept.page, FolderPictures(tmp_path / "first" / "pictures"), tmp_path / "second")
    assert differences(first, second) == []
    assert [output.name.split("/")[0] for output in first.outputs] == ["page.md", "pictures", "pictures"]
    for output in first.outputs:
        data = (tmp_path / "first" / output.name).read_bytes()
        assert data == (tmp_path / "second" / output.name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == output.sha256
    written = (tmp_path / "first" / "page.md").read_text(encoding="utf-8")
    assert written.startswith(page.markdown)
    again = read_page(tmp_path / "first" / "page.md", written.encode(), MemoryPictures())
    assert [kind.digest for kind in again.pictures] == [page.pictures[0].digest, *(o.sha256 for o in first.outputs[1:])]
    other = PageManifest.model_validate({**second.model_dump(), "outputs": second.outputs[:-1]})
    (told,) = differences(first, other)
    assert told.startswith("picture 2 (pictures/")


def test_a_folder_named_like_a_preset_is_not_taken_for_it(
    tiny: MMInterleaved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny").mkdir()
    assert Setup.of(tiny).model == "tiny"


def test_other_weights_and_changed_pictures_are_noticed(tiny: MMInterleaved, tmp_path: Path) -> None:
    _save_picture(tmp_path / "a.png", "red")
    store = FolderPictures(tmp_path / "pictures")
    page = read_page(tmp_path / "page.md", b"![a](a.png)", store)
    with pytest.raises(CheckpointError, match="the weights of tiny are others now"):
        Setup.of(tiny).prepare(MMInterleaved.from_pretrained("tiny", seed=1, draws=False))
    file = store.path(page.pictures[0].digest)
    _save_picture(file, "blue")
    with pytest.raises(ConfigError, match="was changed: expected the SHA-256 of its name"):
        PageRun(tiny, page, SETTINGS, store)
    file.unlink()
    with pytest.raises(ConfigError, match="is missing: it belongs to the page"):
        PageRun(tiny, page, SETTINGS, store)


def test_what_a_model_writes_names_no_picture_and_hides_none(tiny: MMInterleaved, tmp_path: Path) -> None:
    store = MemoryPictures()
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    drawn = store.put(buffer.getvalue(), origin="drawn")
    run = PageRun(tiny, read_page(None, b"Look!", store), SETTINGS, store)
    run.written = [
        Text(
            text="[x](http://example.org/1.png) ![y](http://example.org/2.png)\n"
            '<img src="http://example.org/3.png">\n\\<img src="http://example.org/4.png">\n````python\ndraw()'
        ),
        drawn,
        Text(text="\nso"),
    ]
    markdown = run.markdown()
    assert [reference.target for reference in find_references(markdown)] == [f"pictures/{drawn.digest}.png"]
    shown = MarkdownIt("commonmark").render(markdown)
    assert re.findall(r"<img[^>]*", shown) == [f'<img src="pictures/{drawn.digest}.png" alt="drawn" /']
    assert "draw()\n\n````\n\n![drawn]" in markdown
    assert markdown.endswith("\n\n\nso\n")
    rest = without_pictures('img src="http://example.org/5.png">', after="Look <")
    assert "<img" not in MarkdownIt("commonmark").render(f"Look <{rest}")


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), output_folder(tmp_path / "new") as folder:
        (folder / "page.md").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="name another folder"), output_folder(tmp_path / "new") as folder:
        (tmp_path / "new" / "mine").mkdir(parents=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "mine"]
    with pytest.raises(ConfigError, match="is there already and is not written over"), output_folder(tmp_path / "new"):
        pass


def test_a_page_longer_than_the_window_loses_its_beginning(tiny: MMInterleaved, tmp_path: Path) -> None:
    _save_picture(tmp_path / "a.png", "red")
    store = FolderPictures(tmp_path / "pictures")
    window = tiny.model.config.decoder.max_positions
    page = read_page(tmp_path / "page.md", b"![a](a.png)" + b"x" * window, store)
    run = PageRun(tiny, page, WriteSettings(max_tokens=2, structure=0), store)
    with torch.inference_mode():
        assert len(list(run.pieces())) <= 3
    assert [picture.digest for picture in run.dropped.pictures] == [page.pictures[0].digest]
    assert run.dropped.positions >= window // 4
    assert run.save(tmp_path).dropped == run.dropped.positions


def test_manifests_of_others_are_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 2}')
    for path, told in ((tmp_path, "is no manifest of mmi generate"), (tmp_path / "no", "cannot read")):
        with pytest.raises(ConfigError, match=told) as caught:
            read_page_manifest(path)
        assert "\n" not in str(caught.value)
