"""Blueprints: their blocks are checked, and turning, mirroring, repeating and joining leave them buildable."""

import pytest
from mmi_minecraft import (
    AIR,
    BlockState,
    Blueprint,
    Canvas,
    connected,
    mirrored,
    overlaid,
    repeated,
    rotated,
    shifted,
)
from mmi_minecraft.block_table import block_names
from mmi_minecraft.blueprint import Size, check_volume
from mmi_minecraft.turning import reflected, turned
from random_blueprints import any_blueprint, joining_blueprint

from mmi_agent.errors import ConfigError, UnknownNameError


def row(*blocks: str) -> Blueprint:
    canvas = Canvas()
    for x, block in enumerate(blocks):
        canvas[x, 0, 0] = block
    return canvas.blueprint()


def test_no_air_is_a_block() -> None:
    cave = row("stone", "minecraft:cave_air", "void_air", "air")
    assert cave.num_blocks == 1 and {str(state) for state in cave.palette} == {"stone", "air"}


def test_a_state_is_complete_and_equal_however_it_is_written() -> None:
    written = [
        "oak_stairs[half=top,facing=east]",
        "minecraft:oak_stairs[facing=east,half=top,shape=straight,waterlogged=false]",
        " oak_stairs[facing=east, half=top] ",
    ]
    states = {BlockState.parse(text) for text in written}
    assert len(states) == 1
    (state,) = states
    assert str(state) == "oak_stairs[facing=east,half=top]"
    assert state.full == "minecraft:oak_stairs[facing=east,half=top,shape=straight,waterlogged=false]"


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("oak_fense", UnknownNameError, "did you mean 'oak_fence'"),
        ("oak_fence[facing=north]", ConfigError, "oak_fence has no property 'facing'; it has: east"),
        ("oak_stairs[facing=up]", ConfigError, "expected one of: north, south, west, east"),
        ("oak_stairs[facing=east,facing=west]", ConfigError, "expected each property once"),
        ("create:cogwheel", ConfigError, "not a block"),
        ("oak_fence[" + "x" * 100_000, ConfigError, "not a block"),
    ],
)
def test_a_block_that_cannot_be_is_refused_in_one_line(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says.replace("[", r"\[")) as raised:
        BlockState.parse(text)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_four_turns_and_two_mirrors_change_no_block_of_the_game() -> None:
    for name in block_names():
        state = BlockState.of(name)
        assert turned(turned(state, 3), 1) == turned(turned(state, 2), 2) == state
        assert reflected(reflected(state, "x"), "x") == reflected(reflected(state, "z"), "z") == state


@pytest.mark.parametrize("seed", range(20))
def test_turns_and_mirrors_are_those_of_a_square(seed: int) -> None:
    blueprint = any_blueprint(seed)
    assert rotated(rotated(blueprint, 1), -1) == rotated(blueprint, 4) == blueprint
    assert mirrored(mirrored(blueprint, "x"), "x") == blueprint
    assert mirrored(mirrored(blueprint, "x"), "z") == rotated(blueprint, 2)
    assert mirrored(rotated(blueprint), "x") == rotated(mirrored(blueprint, "z"))


def test_a_turn_goes_clockwise_about_where_the_builder_stands() -> None:
    canvas = Canvas()
    canvas[0, 0, -3] = "oak_stairs[facing=north]"
    canvas[1, 0, -3] = "oak_log[axis=x]"
    blueprint = rotated(canvas.blueprint())
    blocks = {blueprint.origin.plus(position): str(state) for position, state in blueprint.blocks()}
    assert blocks == {(3, 0, 0): "oak_stairs[facing=east]", (3, 0, 1): "oak_log[axis=z]"}


@pytest.mark.parametrize("seed", range(20))
def test_what_is_joined_stays_joined_when_it_is_turned_or_mirrored(seed: int) -> None:
    blueprint = joining_blueprint(seed)
    assert connected(blueprint) == blueprint
    assert connected(rotated(blueprint)) == rotated(blueprint)
    assert connected(mirrored(blueprint, "x")) == mirrored(blueprint, "x")
    assert connected(mirrored(blueprint, "z")) == mirrored(blueprint, "z")


def test_fences_and_walls_join_as_in_the_game() -> None:
    fence = connected(row("oak_fence", "birch_fence", "oak_fence_gate", "oak_fence", "nether_brick_fence", "stone"))
    sides = [(state.get("west"), state.get("east")) for _, state in fence.blocks()]
    assert sides == [("false", "true"), ("true", "true"), ("", ""), ("true", "false"), ("false", "true"), ("", "")]
    turned_gate = connected(row("oak_fence", "oak_fence_gate[facing=east]", "oak_fence"))
    assert [state.get("east") for _, state in turned_gate.blocks()] == ["false", "", "false"]

    canvas = Canvas()
    canvas.fill(range(3), [0, 1], [0], "cobblestone_wall")
    canvas[2, 1, 0] = AIR
    below = connected(canvas.blueprint()).layer(0)[0]
    assert [str(state) for state in below] == [
        "cobblestone_wall[east=tall]",
        "cobblestone_wall[east=low,west=tall]",
        "cobblestone_wall[west=low]",
    ]
    middle = connected(row("cobblestone_wall", "cobblestone_wall", "cobblestone_wall")).layer(0)[0][1]
    assert middle.get("up") == "false"


def test_stairs_make_corners() -> None:
    canvas = Canvas()
    canvas[0, 0, 0] = "oak_stairs[facing=south]"
    canvas[1, 0, 0] = "oak_stairs[facing=south]"
    canvas[0, 0, 1] = "oak_stairs[facing=east]"
    corner = connected(canvas.blueprint())[0, 0, 0]
    assert corner.get("shape") == "outer_left"


def test_parts_are_repeated_and_laid_over_one_another() -> None:
    post = row("oak_fence", "torch")
    line = repeated(post, (3, 1, 2), gap=(-1, 0, 1))
    assert line.size == (4, 1, 3)
    assert [str(state) for state in line.layer(0)[2]] == ["oak_fence", "oak_fence", "oak_fence", "torch"]
    both = overlaid(line, shifted(row("stone"), (5, 1, -1)))
    assert both.size == (6, 2, 4)
    assert both.origin == (0, 0, -1)
    assert str(both[5, 1, 0]) == "stone"
    assert both.num_blocks == line.num_blocks + 1
    with pytest.raises(ConfigError, match="at least once"):
        repeated(post, (0, 1, 1))


def test_a_huge_blueprint_is_refused_unless_it_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="10,000,000 cells, more than 1,000,000"):
        check_volume(Size(200, 250, 200))
    with pytest.raises(ConfigError, match="10,000,000 cells"):
        repeated(row("stone"), (100, 1000, 100))
    far = Canvas()
    far[0, 0, 0] = far[10**9, 0, 10**9] = "stone"
    with pytest.raises(ConfigError, match="more than 1,000,000"):
        far.blueprint()
    check_volume(Size(200, 250, 200), max_cells=10_000_000)


def test_a_blueprint_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 4 cells, not 3"):
        Blueprint.of((2, 1, 2), [AIR], [0, 0, 0])
    with pytest.raises(ConfigError, match="names block 7 of a palette of 1"):
        Blueprint.of((1, 1, 1), [AIR], [7])
