"""`mmi minecraft build`: a sentence, a real server, and a page that says what stands."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from live import Plot, eventually
from mmi_minecraft.building.proof import build_and_prove
from mmi_minecraft.mural import mural
from mmi_minecraft.server.environment import MinecraftEnvironment
from PIL import Image
from typer.testing import CliRunner

from mmi_agent.cli.app import app
from mmi_agent.pictures import MemoryPictures


def mmi(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["minecraft", "build", *map(str, arguments)], prog_name="mmi")
    return result.exit_code, result.output


@pytest.mark.usefixtures("node")
def test_a_sentence_becomes_a_fence_that_the_server_itself_counts(tmp_path: Path) -> None:
    page = tmp_path / "fence.html"
    code, said = mmi("oak fence 5 by 4 with a gate", "--page", page, "--json")
    assert "{" in said, said
    told = json.loads(said[said.index("{") :])
    assert (code, told["complete"], told["placed"], told["server_match_percent"]) == (0, True, 14, 100)
    text = page.read_text()
    assert "It stands: every cell is as planned." in text
    assert len(re.findall(r'src="data:image/png;base64,', text)) == 2 and "http" not in text


def test_what_is_lacking_is_told_and_nothing_is_begun(plot: Callable[..., Plot], tmp_path: Path) -> None:
    land = plot("survival")
    where = ("--server", f"{land.server.host}:{land.server.port}", "--at", "20 5 20", "--username", "builder")
    code, said = mmi("birch fence 3 by 3", *where, "--page", tmp_path / "page.html")
    assert code == 1 and "materials are missing, so nothing was begun: 8 birch_fence" in said, said
    assert not (tmp_path / "page.html").exists()
    assert land.read((0, 0, 0), (10, 1, 10)).num_blocks == 0


def test_what_is_tall_is_photographed_from_the_south_in_creative_mode_too(plot: Callable[..., Plot]) -> None:
    land = plot("creative")
    pole, pictures = mural(Image.new("RGB", (1, 12), "blue"), width=1), MemoryPictures()
    with MinecraftEnvironment(f"{land.server.host}:{land.server.port}", username="photographer") as world:
        world.reset("a pole", pictures=pictures)
        land.server.set_mode("photographer", "creative")
        eventually(lambda: world.player.state().game_mode == "creative")
        proof = build_and_prove(world, pictures, pole, land.at, where="here", read=land.server.read)
        feet = world.player.state().cell
    assert proof.complete
    assert feet.y == land.at.y and feet.z - land.at.z == 11


def test_a_server_needs_a_place(tmp_path: Path) -> None:
    assert mmi("oak fence", "--server", "localhost:1", "--page", tmp_path / "page.html") == (
        1,
        "error: --server needs --at: where is it to stand?\n",
    )
