"""`mmi generate` as a person uses it: a page in, a folder out, the same folder again."""

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_answers import Mmi
from PIL import Image

TINY = ("--preset", "tiny", "--steps", "2", "--max-tokens", "12", "--temperature", "1")


def _page(text: str = "# A cup\n\nHere ![a cup](cup.png) is a cup\n") -> Path:
    Image.new("RGB", (60, 40), "red").save("cup.png")
    Path("tale.md").write_text(text, encoding="utf-8")
    return Path("tale.md")


def test_a_page_becomes_a_folder_and_the_manifest_the_same_bytes(mmi: Mmi) -> None:
    page = _page()
    code, out, err = mmi("generate", str(page), *TINY, "--structure", "text, picture, text", "--out", "told")
    assert (code, err) == (0, "note: tiny has random weights: what it writes and draws is noise\n")
    assert re.search(r"\[drew a picture, 32 x 32 px: told/pictures/[0-9a-f]{64}\.png\]", out)
    assert "the same again: mmi generate --again told\n" in out
    assert sorted(path.name for path in Path("told").iterdir()) == ["manifest.json", "page.html", "page.md", "pictures"]
    written = Path("told/page.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[(\w[\w ]*)\]\((pictures/[0-9a-f]{64}\.png)\)", written)
    assert [name for name, _ in pictures] == ["a cup", "drawn"]
    for _, file in pictures:
        with Image.open(Path("told") / file) as picture:
            picture.load()
    html = Path("told/page.html").read_text(encoding="utf-8")
    assert html.count("<img ") == 2
    assert "Written by the model" in html
    page.unlink()  # the folder has all that is needed
    code, out, _ = mmi("generate", "--again", "told", "--out", "again")
    assert (code, out.splitlines()[-1]) == (0, "the same: page.md and 1 drawn, byte for byte")
    for file in ("page.md", "manifest.json", pictures[1][1]):
        assert Path("told", file).read_bytes() == Path("again", file).read_bytes()
    manifest = json.loads(Path("told/manifest.json").read_text())
    manifest["settings"]["seed"] += 1
    Path("told/manifest.json").write_text(json.dumps(manifest))
    code, out, _ = mmi("generate", "--again", "told/manifest.json", "--json")
    report = json.loads(out)
    assert (code, report["same"], report["differing"][0]) == (1, False, "page.md")
    assert report["differing"][1].startswith("picture 1 (pictures/")
    Path("told", pictures[0][1]).write_bytes(Path("told", pictures[1][1]).read_bytes())
    code, _, err = mmi("generate", "--again", "told")
    assert code == 1
    assert "was changed: expected the SHA-256 of its name" in err


def test_a_page_comes_through_a_pipe_and_goes_to_a_machine(mmi: Mmi) -> None:
    _page()
    code, out, _ = mmi("generate", "-", *TINY, "--pictures", "0", "--json", given="![](cup.png)\n\nA cup")
    told = json.loads(out)
    assert code == 0
    assert re.fullmatch(r"page-\d{8}-\d{6}", told["folder"])
    (written,) = told["written"]
    assert Path(told["page"]).read_text(encoding="utf-8").count(written["text"].rstrip("\n"))
    code, other, _ = mmi("generate", "-", *TINY, "--pictures", "0", "--json", given="![](cup.png)\n\nA cup")
    assert json.loads(other)["folder"] != told["folder"]
    assert json.loads(other)["written"] == told["written"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "no page was named: mmi generate PAGE.md, or - for one from a pipe"),
        (("nowhere.md",), "cannot read the page nowhere.md: No such file"),
        (("-",), "stdin is empty: expected text or a picture"),
        (("gone.md",), "gone.md, line 2: the picture 'gone.png' is missing: expected a file at gone.png"),
        (("tale.md", "--out", "cup.png"), "cup.png is there already and is not written over"),
        (("tale.md", "--out", "/proc/no/way"), "cannot write to /proc/no"),
        (("tale.md", "--preset", "tiney"), "unknown preset or folder 'tiney': did you mean 'tiny'?"),
        (("tale.md", "--device", "abacus"), "the device 'abacus' is not to be had here"),
        (("tale.md", "--device", "meta"), "the device 'meta' is not to be had here"),
        (("tale.md", "--dtype", "float8"), "--dtype 'float8' is none of float32, bfloat16, float16"),
        (("tale.md", "--structure", "text,song"), "the structure has a part 'song': expected 'text' or 'picture'"),
        (("tale.md", "--structure", "text", "--pictures", "1"), "the structure says how many pictures there are"),
        (("tale.md", "--pictures", "9", "--max-tokens", "5"), "the structure does not fit into max_tokens 5: 9 are"),
        (("tale.md", "--beams", "2", "--pictures", "1"), "beams write text alone"),
        (("tale.md", "--temperature", "-1"), "temperature is -1.0: expected 0, or 1e-06 or more"),
        (("tale.md", "--top-p", "0.9"), "--top-p 0.9 does nothing at --temperature 0"),
        (("tale.md", "--top-p", "0.9", "--beams", "2"), "beams are searched, not drawn; leave out top_p"),
        (("tale.md", "--guidance", "nan"), "guidance_scale is nan: 1 does not guide"),
        (("tale.md", "--seed", "18446744073709551615", "--pictures", "2"), "seed is 18446744073709551615: expected 0"),
        (("tale.md", "--scheduler", "euler"), "scheduler 'euler' is none of"),
        (("--again", "nowhere"), "cannot read nowhere: No such file"),
        (("--again", "tale.md"), "tale.md is no manifest of mmi generate"),
        (("tale.md", "--again", "told"), "page is decided by the manifest: leave it out with --again"),
        (("--again", "told", "--seed", "0"), "--seed is decided by the manifest: leave it out with --again"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(mmi: Mmi, arguments: tuple[str, ...], told: str) -> None:
    _page()
    Path("gone.md").write_text("a\n![b](gone.png)")
    before = sorted(Path().iterdir())
    preset = () if "--preset" in arguments or "--again" in arguments else ("--preset", "tiny")
    code, out, err = mmi("generate", *arguments, *preset)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert told in err
    assert err.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_ctrl_c_while_writing_leaves_no_folder(tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]) -> None:
    (tmp_path / "tale.md").write_text("Once")
    process = start("generate", "tale.md", *TINY[:2], "--max-tokens", "4000", "--structure", "text")
    assert process.stdout
    process.stdout.read(1)
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "note: tiny has random weights: what it writes and draws is noise\n")
    assert [path.name for path in tmp_path.iterdir()] == ["tale.md"]


def test_who_stops_reading_loses_nothing_of_what_is_written(
    tmp_path: Path, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    (tmp_path / "tale.md").write_text("Once")
    process = start("generate", "tale.md", *TINY, "--structure", "text,picture,text", "--out", "told")
    assert process.stdout
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "note: tiny has random weights: what it writes and draws is noise\n")
    assert (tmp_path / "told" / "page.md").read_text(encoding="utf-8").startswith("Once")
