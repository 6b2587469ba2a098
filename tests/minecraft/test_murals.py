"""Murals: a picture's cells become the blocks that look like them, and what is no picture is refused in one line."""

import json
from pathlib import Path

import pytest
from mmi_minecraft import VOID, BlockState, Blueprint
from mmi_minecraft.block_table import NEWEST, block_kind, data_versions
from mmi_minecraft.building import build_order
from mmi_minecraft.colors import RGB, color_of
from mmi_minecraft.formats import read_blueprint, write_blueprint
from mmi_minecraft.materials import unobtainable
from mmi_minecraft.mural import FAMILIES, mural, open_picture
from PIL import Image
from simulated_builder import SimulatedBuilder
from typer.testing import CliRunner

from mmi_agent.cli.app import app
from mmi_agent.errors import ConfigError, UnknownNameError

EVERY = [block for family in FAMILIES.values() for block in family]
FLAG = [
    ["red_wool", "white_concrete", "structure_void"],
    ["blue_concrete", "lime_terracotta", "birch_planks"],
]


def painted(rows: list[list[str]], times: int = 1) -> Image.Image:
    """A picture in the blocks' own colours, each cell `times` pixels wide and high; void is clear."""
    picture = Image.new("RGBA", (len(rows[0]), len(rows)))
    for y, row in enumerate(rows):
        for x, block in enumerate(row):
            if block != "structure_void":
                picture.putpixel((x, y), (*color_of(BlockState.parse(block)), 255))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def seen(blueprint: Blueprint) -> list[list[str]]:
    """Its blocks as they are looked at: a wall from the south, a floor from above."""
    if blueprint.size.y == 1 and blueprint.size.z > 1:
        return [[state.name for state in row] for row in blueprint.layer(0)]
    return [[state.name for state in blueprint.layer(y)[0]] for y in reversed(range(blueprint.size.y))]


def test_each_block_has_a_colour_of_its_own_and_can_be_had_and_placed_in_every_version() -> None:
    assert [len(FAMILIES[family]) for family in ("wool", "concrete", "terracotta")] == [16, 16, 17]
    assert len({color_of(BlockState.of(block)) for block in EVERY}) == len(EVERY)
    versions = (next(iter(data_versions())), NEWEST)
    assert all((block_kind(block).shape, block_kind(block).versions) == ("full", versions) for block in EVERY)
    assert not {"sand", "red_sand", "gravel"} & {*EVERY} and not any("powder" in block for block in EVERY)
    assert seen(mural(painted([EVERY]), width=len(EVERY))) == [EVERY]


@pytest.mark.parametrize("times", [1, 7])
def test_a_picture_becomes_a_wall_or_a_floor_and_what_is_clear_says_nothing(times: int) -> None:
    picture = painted(FLAG, times)
    wall, floor = mural(picture, width=3), mural(picture, height=2, flat=True)
    assert seen(wall) == seen(floor) == FLAG
    assert (wall.size, wall.origin) == ((3, 2, 1), (0, 0, 0))
    assert (floor.size, floor.origin) == ((3, 1, 2), (0, -1, 0))
    assert wall[2, 1, 0] == floor[2, 0, 0] == VOID


def test_a_soft_edge_is_cut_in_the_middle_and_keeps_its_colour() -> None:
    picture = Image.new("RGBA", (4, 1), (0, 0, 0, 0))
    for x, alpha in enumerate((255, 140, 110, 0)):
        picture.putpixel((x, 0), (*color_of(BlockState.of("red_wool")), alpha))
    assert seen(mural(picture, width=4)) == [["red_wool", "red_wool"]]


@pytest.mark.parametrize(
    ("width", "height", "cells"),
    [
        (None, None, (32, 16, 1)),
        (10, None, (10, 5, 1)),
        (None, 10, (20, 10, 1)),
        (8, 8, (8, 8, 1)),
        (1, None, (1, 1, 1)),
    ],
)
def test_a_picture_keeps_its_proportions_unless_both_sides_are_given(
    width: int | None, height: int | None, cells: tuple[int, int, int]
) -> None:
    assert mural(Image.new("RGB", (200, 100), "red"), width=width, height=height).size == cells


@pytest.mark.parametrize(
    ("color", "block"),
    [
        ((0, 0, 255), "blue_wool"),  # CIELAB says purple
        ((60, 120, 220), "light_blue_concrete"),
        ((0, 0, 0), "black_concrete"),
        ((255, 255, 255), "white_wool"),
        ((255, 255, 0), "yellow_wool"),
    ],
)
def test_other_colours_become_what_looks_like_them(color: RGB, block: str) -> None:
    assert seen(mural(Image.new("RGB", (1, 1), color), width=1)) == [[block]]


def test_it_is_made_of_the_families_that_are_asked_for() -> None:
    rainbow = painted([EVERY])
    for family, blocks in FAMILIES.items():
        assert set(seen(mural(rainbow, width=len(EVERY), families=[family]))[0]) == set(blocks)
    with pytest.raises(UnknownNameError, match="family of blocks 'whool': did you mean 'wool'"):
        mural(rainbow, families=["whool"])


def test_one_player_can_build_it_and_a_file_keeps_it(tmp_path: Path) -> None:
    picture = painted([["structure_void", "red_wool", *FLAG[0]], [*FLAG[1], "structure_void", "structure_void"]] * 3)
    for flat in (False, True):
        blueprint = mural(picture, width=5, flat=flat)
        builder = SimulatedBuilder(blueprint)
        builder.build(build_order(blueprint))
        builder.check_built()
        assert not unobtainable(blueprint)
        write_blueprint(blueprint, tmp_path / "mural.schem", version="1.16.4")
        assert read_blueprint(tmp_path / "mural.schem") == blueprint


def test_of_a_picture_that_moves_the_first_frame_is_taken_and_a_photo_is_put_upright(tmp_path: Path) -> None:
    red, blue = (Image.new("RGB", (2, 1), color_of(BlockState.of(block))) for block in ("red_wool", "blue_wool"))
    red.save(tmp_path / "moves.gif", save_all=True, append_images=[blue])
    assert seen(mural(open_picture(tmp_path / "moves.gif"), width=2)) == [["red_wool", "red_wool"]]
    lying = Image.Exif()
    lying[0x0112] = 6  # the camera was held upright
    red.save(tmp_path / "photo.jpg", exif=lying)
    assert mural(open_picture(tmp_path / "photo.jpg"), width=2).size == (2, 4, 1)


def mmi(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["minecraft", *map(str, arguments)], prog_name="mmi")
    return done.exit_code, done.output


def test_the_command_writes_the_file_and_the_preview(tmp_path: Path) -> None:
    picture, out, page = tmp_path / "flag.png", tmp_path / "flag.schem", tmp_path / "flag.html"
    painted(FLAG, 10).save(picture)
    code, said = mmi("plan", "--picture", picture, "--width", 3, "--out", out, "--preview", page)
    assert code == 0, said
    assert "mural of flag.png: 3 x 2 x 1 cells" in said and "  1 lime terracotta" in said
    assert "not said, so chosen: palette: wool concrete" in said
    assert seen(read_blueprint(out)) == FLAG
    assert "mural of flag.png" in page.read_text() and "data:image/png;base64," in page.read_text()
    code, said = mmi("plan", "--picture", picture, "--flat", "--palette", "wool, planks", "--json")
    told = json.loads(said)
    assert (told["size"], told["assumed"]) == ([32, 1, 21], ["width: 32"])
    assert told["parameters"]["families"] == ["wool", "planks"]
    assert all(item.endswith(("_wool", "_planks")) for item in told["materials"])


@pytest.fixture(scope="module")
def bad_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "words.png").write_text("a fence")
    painted(FLAG, 50).save(folder / "whole.png")
    (folder / "half.png").write_bytes((folder / "whole.png").read_bytes()[:-60])
    (folder / "program.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    Image.new("RGBA", (9, 9), (255, 0, 0, 9)).save(folder / "clear.png")
    Image.new("1", (15_000, 15_000)).save(folder / "bomb.png")
    Image.new("1", (10_000, 10_000)).save(folder / "large.png")
    Image.new("RGB", (10, 400)).save(folder / "tall.png")
    (folder / "empty.gif").write_bytes(b"GIF89a" + bytes(7) + b"," + bytes(9) + b"\x02\x02\x4c\x01\x00;")
    return folder


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--picture words.png", "words.png: not a picture that can be read; expected PNG, JPEG"),
        ("--picture program.png", "program.png: not a picture that can be read"),
        ("--picture half.png", "half.png: a damaged picture"),
        ("--picture bomb.png", "bomb.png: more than 89,478,485 pixels"),
        ("--picture large.png", "large.png: more than 89,478,485 pixels"),
        ("--picture empty.gif", "empty.gif"),
        ("--picture clear.png", "transparent everywhere"),
        ("--picture nowhere.png", "nowhere.png: No such file"),
        ("--picture tall.png", "a mural 32 wide and 1280 high, of a picture of 10 x 400 px: expected"),
        ("--picture whole.png --width 0", "a mural 0 wide"),
        ("--picture whole.png --height 129", "and 129 high"),
        ("--picture whole.png --palette wool,glass", "unknown family of blocks 'glass'"),
        ("--picture whole.png fence", "'fence' and --picture whole.png: expected one of them"),
        ("fence --width 0", "expected --picture FILE too"),
        ("", "What shall I build?"),
    ],
)
def test_what_cannot_become_a_mural_is_refused_in_one_line(
    arguments: str, says: str, bad_pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bad_pictures)
    for command in ("plan", "build"):
        code, said = mmi(command, *arguments.split())
        assert code == 1 and says in said and said.startswith("error: ") and said.count("\n") == 1, said


def test_more_than_a_builder_carries_is_refused_before_anything_starts(tmp_path: Path) -> None:
    painted([EVERY]).save(tmp_path / "rainbow.png")
    code, said = mmi("build", "--picture", tmp_path / "rainbow.png", "--width", len(EVERY))
    assert code == 1 and said.startswith(f"error: it takes {len(EVERY)} stacks, and a builder in survival carries 36")
    code, said = mmi("build", "--picture", tmp_path / "rainbow.png", "--width", 128, "--height", 19)
    assert code == 1 and "or build it with --creative" in said and said.count("\n") == 1


def test_a_picture_without_pixels_has_nothing_to_copy() -> None:
    with pytest.raises(ConfigError, match="0 x 5 px"):
        mural(Image.new("RGB", (0, 5)))
