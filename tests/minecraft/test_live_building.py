"""Building on a real server: what the server has in the end is what was planned, whatever happened meanwhile."""

import subprocess
import sys
import time
from collections.abc import Callable
from threading import Thread

import pytest
from live import GROUND, Plot, eventually
from mmi_minecraft import VOID, BlockState, Blueprint, Canvas
from mmi_minecraft.building.live import build, verify
from mmi_minecraft.building.verifying import alike
from mmi_minecraft.generators import Fence, Hut, Path
from mmi_minecraft.materials import materials
from mmi_minecraft.mural import mural
from PIL import Image

from mmi_agent.errors import ActionError

FENCE = Fence(width=5, depth=4, gate="south").blueprint()


def carry_materials(here: Plot, blueprint) -> None:
    here.give(**{material.item: material.count for material in materials(blueprint)})


def used_up(here: Plot, blueprint) -> set[str]:
    """The materials of which something is left; what lies about from other tests may be picked up meanwhile."""
    return {material.item for material in materials(blueprint)} & here.carried().keys()


def stands(here: Plot, blueprint) -> bool:
    """Whether the server itself has every block, how they join left aside."""
    low = here.at.plus(blueprint.origin)
    found = here.server.read(low, low.plus(blueprint.size).minus((1, 1, 1)))
    return all(alike(state, found[at]) for at, state in blueprint.blocks())


@pytest.mark.parametrize("version", ["1.16.4", "1.21.4"])
def test_a_fence_is_built_in_survival_from_what_is_carried(plot: Callable[..., Plot], version: str) -> None:
    here = plot("survival", version)
    carry_materials(here, FENCE)
    report = build(here.player, FENCE, here.at)
    assert report.complete, report
    assert stands(here, FENCE)
    assert not used_up(here, FENCE)
    assert report.placed == FENCE.num_blocks
    assert report.verification.match_percent == 100
    assert report.verification.exact_percent < 100, "flying-squid joins no fences; the report must say so"
    assert "counting how blocks join their neighbours" in str(report)
    again = build(here.player, FENCE, here.at)
    assert (again.placed, again.dug, again.complete) == (0, 0, True)


def test_a_hut_is_built_in_creative_mode(plot: Callable[..., Plot]) -> None:
    here = plot("creative")
    hut = Hut(width=5, depth=5, roof_shape="flat").blueprint()
    report = build(here.player, hut, here.at)
    assert report.complete, report
    assert stands(here, hut)


def test_a_picture_becomes_a_mural_and_what_is_clear_in_it_stays_as_it_was(plot: Callable[..., Plot]) -> None:
    here = plot("creative")
    picture = Image.linear_gradient("L").resize((8, 8)).convert("RGBA")
    picture.paste((160, 40, 36, 255), (2, 1, 6, 3))
    picture.paste((0, 0, 0, 0), (3, 4, 5, 6))
    mural_8 = mural(picture, width=8)
    assert (mural_8.size, mural_8.num_blocks) == ((8, 8, 1), 60)
    report = build(here.player, mural_8, here.at)
    assert report.complete, report
    assert report.verification.match_percent == report.verification.exact_percent == 100
    assert stands(here, mural_8)
    assert [here.block(x, 6, 0) for x in (2, 5)] == ["red_wool", "red_wool"]
    assert here.read((3, 2, 0), (4, 3, 0)).num_blocks == 0, "the hole"


def test_what_floats_is_held_until_it_holds(plot: Callable[..., Plot]) -> None:
    here = plot("creative")
    canvas = Canvas()
    canvas[0, 3, 0], canvas[3, 0, 0] = "stone", "oak_log[axis=x]"
    report = build(here.player, canvas.blueprint(), here.at)
    assert report.complete, report
    assert here.read((-1, 0, -1), (4, 4, 1)).num_blocks == 2


def test_missing_materials_are_told_before_anything_is_done(plot: Callable[..., Plot]) -> None:
    here = plot("survival")
    here.give(oak_fence=3)
    with pytest.raises(ActionError, match="so nothing was begun: 10 oak_fence, 1 oak_fence_gate"):
        build(here.player, FENCE, here.at)
    assert here.read((0, 0, 0), (4, 0, 3)).num_blocks == 0


def test_a_plan_that_says_nothing_is_refused(plot: Callable[..., Plot]) -> None:
    here = plot("creative")
    with pytest.raises(ActionError, match="the plan says nothing of any cell"):
        build(here.player, Blueprint.of((2, 1, 1), [VOID], [0, 0]), here.at)


def test_a_block_that_the_version_lacks_is_told(plot: Callable[..., Plot]) -> None:
    here = plot("creative", "1.16.4")
    with pytest.raises(ActionError, match=r"unknown block in Minecraft 1\.16\.4 'cherry_fence': did you mean"):
        build(here.player, Fence(material="cherry", width=3, depth=1).blueprint(), here.at)


def test_what_is_in_the_way_goes_and_uneven_ground_is_filled_or_climbed(plot: Callable[..., Plot]) -> None:
    here = plot("survival")
    carry_materials(here, FENCE)
    here.give(dirt=8, iron_shovel=1)
    here.server.fill(here.at.plus((0, -2, 0)), here.at.plus((1, -1, 0)), "air")  # a pit where the corner stands
    here.server.fill(here.at.plus((3, 0, 3)), here.at.plus((4, 1, 3)), "dirt")  # a heap where the other one does
    here.set({(2, 0, 0): "poppy"})
    report = build(here.player, FENCE, here.at)
    assert report.complete, report
    assert stands(here, FENCE)


def test_a_path_is_let_into_the_ground(plot: Callable[..., Plot]) -> None:
    here = plot("survival")
    path = Path(length=4, width=1).blueprint()
    carry_materials(here, path)
    here.give(iron_shovel=1)
    report = build(here.player, path, here.at)
    assert report.complete, report
    assert stands(here, path)


def test_a_block_that_somebody_breaks_meanwhile_is_placed_again(plot: Callable[..., Plot]) -> None:
    here = plot("survival")
    carry_materials(here, FENCE)
    here.give(oak_fence=1)
    first = next(at for at, state in FENCE.blocks() if state.name == "oak_fence")

    def break_it() -> None:
        eventually(lambda: here.server.read(here.at.plus(first), here.at.plus(first)).num_blocks)
        here.server.set([(here.at.plus(first), "air")])

    somebody = Thread(target=break_it)
    somebody.start()
    try:
        report = build(here.player, FENCE, here.at)
    finally:
        somebody.join()
    assert report.complete, report
    assert stands(here, FENCE)
    assert not used_up(here, FENCE), "fourteen fences were placed for thirteen"


def test_verify_lists_counts_and_draws_what_differs_and_build_mends_it(plot: Callable[..., Plot]) -> None:
    here = plot("creative")
    build(here.player, FENCE, here.at)
    here.set({(0, 0, 0): "air", (1, 0, 0): "stone", (2, 0, 3): "oak_fence_gate[facing=east]"})
    found = verify(here.player, FENCE, here.at)
    assert len(found.wrong) == 3
    assert found.match_percent == pytest.approx(100 * (1 - 3 / FENCE.num_blocks))
    assert "16 5 16: oak_fence" in str(found) and "found stone" in str(found)
    colors = {color for _, color in found.draw().convert("RGB").getcolors(1 << 20) or ()}
    clean = build(here.player, FENCE, here.at).verification
    assert clean.complete
    assert colors - {color for _, color in clean.draw().convert("RGB").getcolors(1 << 20) or ()}, "red and blue"


PROGRAM = """
import sys
from mmi_minecraft import Position
from mmi_minecraft.building.live import build
from mmi_minecraft.generators import Fence
from mmi_minecraft.server import Player
player = Player()
player.join("127.0.0.1", int(sys.argv[1]), "doomed", version=None, timeout_s=60)
print("ready", flush=True)
while sum(player.state().items.values()) < 28:
    player.wait(0.05)
build(player, Fence(width=9, depth=7).blueprint(), Position(*map(int, sys.argv[2:])))
"""


def test_after_a_kill_it_goes_on_and_places_nothing_twice(plot: Callable[..., Plot]) -> None:
    here = plot("survival")
    fence = Fence(width=9, depth=7).blueprint()
    assert fence.num_blocks == 28
    command = [sys.executable, "-c", PROGRAM, str(here.server.port), *map(str, here.at)]
    builder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert builder.stdout and builder.stdout.readline() == "ready\n"
    here.server.give("doomed", "oak_fence", 28)
    while here.read((0, 0, 0), (8, 0, 6)).num_blocks < 2 and builder.poll() is None:
        time.sleep(0.02)
    builder.kill()
    builder.wait()
    eventually(lambda: all(guest.username != "doomed" for guest in here.server.players()))
    standing = here.read((0, 0, 0), (8, 0, 6)).num_blocks
    assert 2 <= standing < 28
    here.give(oak_fence=28 - standing)
    report = build(here.player, fence, here.at)
    assert report.complete, report
    assert report.placed == 28 - standing
    assert stands(here, fence)
    assert not used_up(here, fence)


def test_who_was_left_on_scaffolding_comes_down_and_takes_it_away(plot: Callable[..., Plot]) -> None:
    here = plot("survival")
    carry_materials(here, FENCE)
    here.give(scaffolding=1)
    here.server.fill(here.at.plus((-2, 0, 1)), here.at.plus((-2, 6, 1)), "scaffolding")
    here.put((14.5, GROUND + 7, 17.5))
    report = build(here.player, FENCE, here.at)
    assert report.complete, report
    assert here.read((-3, 0, -1), (-1, 8, 3)).num_blocks == 0
    assert here.player.state().cell.y == GROUND


def test_it_stops_in_time_and_goes_on(plot: Callable[..., Plot]) -> None:
    here = plot("creative")
    first = build(here.player, FENCE, here.at, timeout_s=0.3)
    assert not first.complete and not first.in_time
    assert "build again to go on" in str(first)
    assert build(here.player, FENCE, here.at).complete
    assert BlockState.parse(here.block(2, 0, 3)).name == "oak_fence_gate"
