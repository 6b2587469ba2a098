"""How far a building is, from what stands on a real server."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from mmi_minecraft import AIR, Blueprint, Position
from mmi_minecraft.building.verifying import compare
from mmi_minecraft.formats import write_blueprint
from mmi_minecraft.generators import Fence, Hut, Wall
from mmi_minecraft.generators import Path as GroundPath
from mmi_minecraft.howto import render_howto
from mmi_minecraft.progress import progress_of
from mmi_minecraft.server import PracticeServer
from mmi_minecraft.transforms import shifted
from typer.testing import CliRunner

from mmi_agent.cli.app import app
from mmi_agent.errors import ConfigError

CORNER = Position(12, 5, 31)  # where no other test builds
OAK = "oak fence"
PEN = Fence(width=4, depth=3, gate="south").blueprint()


def placed(server: PracticeServer, blueprint: Blueprint, number: int) -> None:
    """Clears the place, and puts the first blocks of a building, from the bottom."""
    server.fill((4, 5, 30), (28, 12, 50), "air")
    cells = list(blueprint.blocks())[:number]
    server.set((CORNER.plus(blueprint.origin).plus(cell), state) for cell, state in cells)


def told(server: PracticeServer, plan: Path, *options: str) -> str:
    where = f"{CORNER.x} {CORNER.y} {CORNER.z}"
    named = ["--server", f"{server.host}:{server.port}", "--at", where]
    arguments = ["minecraft", "progress", str(plan), *named, *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_says_which_layer_and_what_it_lacks(serve: Callable[..., PracticeServer], tmp_path: Path) -> None:
    server = serve("1.16.4", seed=1)
    wall = Wall(material="cobblestone", length=10, height=4).blueprint()
    plan, page = tmp_path / "wall.schem", tmp_path / "wall.html"
    write_blueprint(wall, plan, version="1.16.4")

    placed(server, wall, 14)
    server.set([(CORNER.plus((9, 1, 0)), "dirt"), (CORNER.plus((0, 3, 0)), "cobblestone")])
    said = "layer 2 of 4, six blocks missing: 6 cobblestone; one block in the way"
    assert told(server, plan, "--page", str(page)) == f"{said}\n{page}\n"
    text = page.read_text()
    assert said.capitalize() in text and "6 \u00d7 cobblestone" in text and "red crosses" in text
    assert [("stands" in title) for title in re.findall(r"<h2>\d+\. (Layer.*)</h2>", text)] == [
        True,
        False,
        False,
        False,
    ]

    placed(server, wall, 40)
    assert told(server, plan) == "all 4 layers stand\n"
    found = json.loads(told(server, plan, "--json", "--turns", "1"))
    assert found["layer"] == 1 and not found["complete"]
    assert len(found["layers"][0]["missing"]) == 9, "what stands is kept when the last player leaves"
    assert len(found["layers"]) == 4


@pytest.mark.parametrize(
    ("blueprint", "stands", "said"),
    [
        (PEN, 0, f"layer 1 of 1, ten blocks missing: 9 {OAK}, 1 {OAK} gate"),
        (Fence(width=4, depth=3).blueprint(), 10, "the only layer stands"),
        (Hut(width=5, depth=5, light=False).blueprint(), 25, "layer 2 of 7, 16 blocks missing"),
    ],
)  # fmt: skip
def test_it_is_told_in_few_words(blueprint: Blueprint, stands: int, said: str) -> None:
    assert str(progress_of(compare(blueprint, part(blueprint, stands)))).startswith(said)


def test_a_plan_without_blocks_is_refused() -> None:
    with pytest.raises(ConfigError, match="the plan has no blocks"):
        progress_of(compare(part(PEN, 0), PEN))


def test_what_has_to_be_cleared_belongs_to_the_layer_below() -> None:
    path = shifted(GroundPath(material="gravel", length=3, width=1).blueprint(), (0, 5, 0))
    standing = Blueprint.of(path.size, [*path.palette, AIR], path.cells, origin=path.origin)
    assert progress_of(compare(path, standing)).current is None
    cells = list(standing.cells)
    cells[-1] = len(standing.palette)
    grown = Blueprint.of(path.size, [*standing.palette, Wall().blueprint()[0, 0, 0]], cells, origin=path.origin)
    assert str(progress_of(compare(path, grown))) == "layer 1 of 1, one block in the way"


def test_a_building_that_stands_has_a_page_that_says_so() -> None:
    fence = Fence(width=4, depth=3).blueprint()
    page = render_howto(fence, progress=progress_of(compare(fence, fence)))
    assert "The only layer stands." in page and "Faint blocks stand already" not in page
    assert "Where you are" not in render_howto(fence)


def part(blueprint: Blueprint, number: int) -> Blueprint:
    """The first blocks of a building, and air."""
    kept = {cell for cell, _ in list(blueprint.blocks())[:number]}
    palette = [*blueprint.palette, AIR]
    cells = [
        index if cell in kept else len(palette) - 1
        for cell, index in zip(blueprint.positions(), blueprint.cells, strict=True)
    ]
    return Blueprint.of(blueprint.size, palette, cells, origin=blueprint.origin)
