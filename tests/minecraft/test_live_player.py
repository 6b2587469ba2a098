"""What a player does on a real server, and why not; the server's own blocks are the judge."""

from collections.abc import Callable

import pytest
from live import GROUND, Plot, eventually, joined
from mmi_minecraft import BlockState

from mmi_agent.errors import ActionError

PLACED = [
    ((2, 0, 0), "oak_fence", "oak_fence"),
    ((2, 0, 1), "oak_stairs[facing=north,half=bottom]", "oak_stairs"),
    ((2, 0, 2), "oak_stairs[facing=west,half=bottom]", "oak_stairs"),
    ((3, 0, 1), "oak_log[axis=x]", "oak_log"),
    ((3, 0, 0), "oak_log[axis=y]", "oak_log"),
    ((3, 1, 0), "torch", "torch"),
    ((4, 0, 0), "wall_torch[facing=east]", "torch"),
    ((3, 1, 1), "ladder[facing=south]", "ladder"),
    ((2, 1, 2), "oak_slab[type=bottom]", "oak_slab"),
    ((3, 0, 2), "oak_slab[type=top]", "oak_slab"),
    ((0, 0, 3), "oak_door[facing=east,half=lower,hinge=left]", "oak_door"),
    ((1, 0, 3), "oak_door[facing=south,half=lower,hinge=right]", "oak_door"),
    ((2, 0, 4), "oak_fence_gate[facing=west]", "oak_fence_gate"),
    ((3, 0, 4), "oak_trapdoor[facing=north,half=bottom]", "oak_trapdoor"),
    ((0, 0, 5), "red_bed[facing=east,part=foot]", "red_bed"),
    ((3, 0, 5), "chest[facing=south]", "chest"),
    ((4, 0, 4), "furnace[facing=west]", "furnace"),
]


@pytest.mark.parametrize("version", ["1.16.4", "1.21.4"])
def test_blocks_get_the_state_that_was_asked_for(plot: Callable[..., Plot], version: str) -> None:
    here = plot("creative", version)
    here.player.fly(here.at.plus((1, 1, 2)), over=0)
    here.set({(3, 1, 2): "stone", (2, 0, 3): "stone", (3, 0, 3): "stone"})
    for at, block, item in PLACED:
        asked = BlockState.parse(block)
        if at == (3, 1, 1):
            here.set({(3, 1, 0): "stone"})
        told = here.player.place(here.at.plus(at), block, item)
        stands = here.read(at, at)[0, 0, 0]
        assert told == stands
        assert stands.name == asked.name, block
        named = [part.partition("=")[0] for part in block.rstrip("]").partition("[")[2].split(",") if part]
        assert {key: stands.get(key) for key in named} == {key: asked.get(key) for key in named}, block
    assert here.block(0, 1, 3).startswith("oak_door[") and "half=upper" in here.block(0, 1, 3)
    assert "part=head" in here.block(1, 0, 5)


def test_a_block_that_is_seen_across_a_corner_faces_as_asked(plot: Callable[..., Plot]) -> None:
    here = plot("creative")
    here.player.fly(here.at.plus((3, 2, 3)), over=0)
    here.set({(5, 0, 5): "crafting_table"})
    at = (5, 1, 5)
    for before in range(6):  # clients turn in steps, from where the server last turned them
        here.player.look_at(here.at.plus((before, 2, 9 - before)))
        here.server.teleport(here.name, here.player.state().position)
        here.player.wait(0.1)
        here.player.place(here.at.plus(at), "oak_trapdoor[facing=north]", "oak_trapdoor")
        assert here.read(at, at)[0, 0, 0].get("facing") == "north"
        here.set({at: "air"})


def test_a_slab_on_a_slab_is_one_block(plot: Callable[..., Plot]) -> None:
    here = plot("survival")
    here.give(oak_slab=2)
    at = here.at.plus((0, 0, 0))
    here.player.place(at, "oak_slab[type=bottom]", "oak_slab")
    here.player.place(at, "oak_slab[type=double]", "oak_slab")
    assert here.block(0, 0, 0) == "oak_slab[type=double]"
    assert here.carried() == {}


REFUSED = [
    ((1, 0, 0), "stone", "stone", "no stone in the inventory"),
    ((1, 0, 9), "dirt", "dirt", "out of reach: .* blocks from your eyes, at most 5"),
    ((0, 3, 0), "dirt", "dirt", "nothing to place against at .*: all six sides are empty"),
    ((0, 0, 0), "dirt", "dirt", "cobblestone is in the way at .*: dig it first"),
    ((-2, 0, -2), "dirt", "dirt", "you stand at .*: move away first"),
    ((1, 0, 2), "oak_stairs[half=top]", "oak_stairs", "cannot be placed that way"),
    ((900, 0, 0), "dirt", "dirt", "the chunk at .* is not loaded: it is 902 blocks away; move nearer first"),
    ((0, 400, 0), "dirt", "dirt", "outside of the world, which goes from -64 to 319"),
]


def test_what_cannot_be_done_is_said(plot: Callable[..., Plot]) -> None:
    here = plot("survival")
    here.give(dirt=3, oak_stairs=1)
    here.set({(0, 0, 0): "cobblestone"})
    for at, block, item, why in REFUSED:
        with pytest.raises(ActionError, match=why):
            here.player.place(here.at.plus(at), block, item)
    with pytest.raises(ActionError, match=r"there is nothing to dig at .*: it is air"):
        here.player.dig(here.at.plus((1, 0, 1)))
    with pytest.raises(ActionError, match="out of reach"):
        here.player.dig(here.at.plus((9, -1, 9)))
    with pytest.raises(ActionError, match=r"nobody can stand at .*: there is air below"):
        here.player.walk(here.at.plus((2, 6, 2)), timeout_s=3)
    assert here.carried() == {"dirt": 3, "oak_stairs": 1}


def test_it_digs_collects_and_crafts(plot: Callable[..., Plot]) -> None:
    here = plot("survival")
    here.give(oak_log=2)
    here.set({(0, 0, 0): "crafting_table"})
    with pytest.raises(ActionError, match=r"it takes 25 oak_log \(there are 2\)"):
        here.player.craft("oak_planks", 100)
    assert here.player.craft("oak_planks", 8) == 8
    assert here.player.craft("stick", 4) == 4
    assert here.player.craft("oak_fence", 3) == 3
    assert here.carried() == {"oak_planks": 2, "stick": 2, "oak_fence": 3}
    assert dict(here.player.state().items) == here.carried()
    here.set({(-1, 0, -1): "dirt"})
    here.player.dig(here.at.plus((-1, 0, -1)))
    assert here.block(-1, 0, -1) == "air"


def test_it_walks_around_what_is_in_the_way(plot: Callable[..., Plot]) -> None:
    here = plot("survival")
    here.set({(x, y, 0): "stone" for x in range(-4, 4) for y in range(2)})
    here.player.walk(here.at.plus((0, 0, 3)))
    assert here.player.state().cell == here.at.plus((0, 0, 3))
    assert here.read((-4, 0, 0), (3, 1, 0)).num_blocks == 16


def test_somebody_who_moves_far_at_once_is_seen_there_and_cuts_nobody_off(plot: Callable[..., Plot]) -> None:
    here, there = plot("survival"), (26.5, GROUND, 26.5)
    other = joined(here.server.port, "wanderer")

    def moves() -> bool:
        here.server.teleport("wanderer", there)
        return other.state().position == there

    try:
        eventually(moves)
        eventually(lambda: there in [each.position for each in here.player.state().entities])
        here.give(dirt=1)
    finally:
        other.close()
