"""Generated buildings: what a player could do step by step, what it takes, and the page that shows how."""

import re
from pathlib import Path

import pytest
from mmi_minecraft import BlockState, Canvas, connected
from mmi_minecraft.building import build_order
from mmi_minecraft.colors import color_of
from mmi_minecraft.drawing import draw_layer, draw_whole
from mmi_minecraft.generators import GENERATORS, Bridge, Fence, Hut, Tower, as_structure
from mmi_minecraft.howto import render_howto
from mmi_minecraft.materials import items, materials, unobtainable
from mmi_minecraft.turning import Direction
from random_blueprints import any_blueprint
from random_structures import any_structure
from simulated_builder import SimulatedBuilder

from mmi_agent.errors import ConfigError, UnknownNameError


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", GENERATORS)
def test_one_player_can_build_it_without_floating_blocks_or_being_walled_in(kind: str, seed: int) -> None:
    blueprint = any_structure(kind, seed).blueprint()
    builder = SimulatedBuilder(blueprint)
    builder.build(build_order(blueprint))
    builder.check_built()


def test_what_hangs_in_the_air_is_propped_up() -> None:
    canvas = Canvas()
    canvas.fill(range(3), [7], range(3), "oak_planks")
    canvas[0, 0, 0] = "stone"
    blueprint = canvas.blueprint()
    order = build_order(blueprint)
    assert order.scaffolding > 0
    builder = SimulatedBuilder(blueprint)
    builder.build(order)
    builder.check_built()


def test_a_closed_box_is_built_from_outside() -> None:
    canvas = Canvas()
    canvas.fill(range(5), range(5), range(5), "stone")
    canvas.fill(range(1, 4), range(1, 4), range(1, 4), "air")
    canvas[2, 1, 2] = "torch"
    blueprint = canvas.blueprint()
    builder = SimulatedBuilder(blueprint)
    builder.build(build_order(blueprint))
    builder.check_built()


def test_what_cannot_be_built_by_hand_is_said() -> None:
    canvas = Canvas()
    canvas[0, 0, 0] = "ladder[facing=south]"
    with pytest.raises(ConfigError, match=r"no way to place ladder\[facing=south\] at 0 0 0|no way to place ladder"):
        build_order(canvas.blueprint())
    canvas.fill(range(30), range(30), range(30), "stone")
    with pytest.raises(ConfigError, match="27,000 blocks, more than 20,000"):
        build_order(canvas.blueprint())


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("seed", range(100, 115))
def test_generated_blocks_are_joined_and_whole(kind: str, seed: int) -> None:
    structure = any_structure(kind, seed)
    blueprint = structure.blueprint()
    assert connected(blueprint) == blueprint
    assert structure == as_structure(structure.model_dump())
    for position, state in blueprint.blocks():
        if state.name.endswith("_door") and state.get("half") == "lower":
            above = blueprint[position.plus((0, 1, 0))]
            assert (above.name, above.get("half")) == (state.name, "upper")


def test_a_fence_has_its_gate_where_it_was_asked_for() -> None:
    places: dict[Direction, tuple[int, int, int]]
    places = {"north": (4, 0, 0), "south": (4, 0, 6), "west": (0, 0, 3), "east": (8, 0, 3)}
    for side, at in places.items():
        blueprint = Fence(width=9, depth=7, gate=side).blueprint()
        assert str(blueprint[at]) in (f"oak_fence_gate[facing={side}]", "oak_fence_gate")
        assert sum(state.name == "oak_fence" for _, state in blueprint.blocks()) == 27
        assert all(BlockState.get(blueprint[corner], "waterlogged") == "false" for corner in [(0, 0, 0), (8, 0, 6)])


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"kind": "fence", "material": "nether_brick", "gate": "east"}, "there are no gates of nether brick"),
        ({"kind": "fence", "width": 2, "depth": 2}, "no room inside"),
        ({"kind": "fence", "width": 3, "depth": 9, "gate": "north", "gate_width": 3}, "a side of 3 is too short"),
        (
            {"kind": "wall", "material": "cobblestoone"},
            "unknown whole block 'cobblestoone': did you mean 'cobblestone'",
        ),
        ({"kind": "wall", "material": "oak_fence"}, "unknown whole block 'oak_fence'"),
        ({"kind": "tower", "height": 300}, "height: Input should be less than or equal to 48"),
        ({"kind": "hut", "colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_parameters_that_cannot_be_built_are_refused_in_one_line(parameters: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        as_structure(parameters)
    assert "\n" not in str(raised.value)


def test_an_unknown_kind_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'bridg': did you mean 'bridge'"):
        as_structure({"kind": "bridg"})


def test_materials_are_items_in_stacks() -> None:
    taken = {material.item: material for material in materials(Hut().blueprint())}
    assert taken["oak_door"].count == 1
    assert taken["torch"].count == 1
    planks = taken["oak_planks"]
    assert (planks.stacks, planks.rest) == divmod(planks.count, 64)
    assert str(planks) == f"{planks.count} oak planks: {planks.stacks} stack of 64 and {planks.rest}"
    expected = {
        "oak_slab[type=double]": [("oak_slab", 2)],
        "red_bed[part=head]": [],
        "red_bed[part=foot]": [("red_bed", 1)],
        "oak_wall_sign": [("oak_sign", 1)],
        "potted_poppy": [("flower_pot", 1), ("poppy", 1)],
        "candle[candles=3]": [("candle", 3)],
        "redstone_wire": [("redstone", 1)],
        "oak_stairs[waterlogged=true]": [("water_bucket", 1), ("oak_stairs", 1)],
    }
    assert {text: list(items(BlockState.parse(text))) for text in expected} == expected
    assert not set(materials_of_everything()) & {"air", "wall_torch", "oak_wall_sign", "piston_head", "wheat"}
    canvas = Canvas()
    canvas[0, 0, 0] = "bedrock"
    assert unobtainable(canvas.blueprint()) == ["bedrock"]


def materials_of_everything() -> list[str]:
    return [material.item for seed in range(40) for material in materials(any_blueprint(seed))]


def test_pictures_show_the_blocks_in_their_places() -> None:
    canvas = Canvas()
    canvas[0, 0, 0], canvas[3, 0, 1] = "red_wool", "blue_wool"
    blueprint = canvas.blueprint()
    plan = draw_layer(blueprint, 0)
    tile = plan.width // 6  # four cells and a margin on both sides
    assert plan.getpixel((tile * 3 // 2, tile * 3 // 2)) == (160, 40, 36)
    assert plan.getpixel((tile * 9 // 2, tile * 5 // 2)) == (54, 58, 158)
    whole = draw_whole(Tower(height=12).blueprint())
    below = draw_whole(Tower(height=12).blueprint(), up_to=3)
    assert whole.size == below.size
    assert ink(whole) > 2 * ink(below) > 0
    for seed in range(12):
        assert max(draw_whole(any_blueprint(seed)).size) <= 2000


def test_red_sandstone_has_its_own_colour_and_not_that_of_the_dye() -> None:
    colors = {name: color_of(BlockState.parse(name)) for name in ("red_sandstone", "red_sand", "sand", "red_wool")}
    assert colors["red_sandstone"] not in (colors["red_wool"], colors["sand"])
    assert colors["red_sand"] != colors["red_wool"]


def ink(image) -> int:
    (_, background), *_ = sorted(image.getcolors(1 << 20), reverse=True)
    return sum(count for count, color in image.getcolors(1 << 20) if color != background)


def test_the_page_stands_alone_and_says_what_to_do() -> None:
    blueprint = Bridge(height=3, lights=True).blueprint()
    page = render_howto(blueprint.named("<b>my</b> bridge"), assumed=["width: 3"])
    assert "<b>my</b>" not in page
    assert "&lt;b&gt;my&lt;/b&gt; bridge" in page
    assert not re.search(r"(?:src|href)=[\"'](?!data:)", page)
    assert page.count("<h2>") == 1 + blueprint.size.y
    assert "You did not say, so I chose: width: 3" in page
    assert "Red circles" in page
    for material in materials(blueprint):
        assert re.search(rf'<td class="number">{material.count}</td><td>{material.title}</td>', page)


def test_the_page_of_documentation_knows_every_parameter() -> None:
    page = (Path(__file__).parents[2] / "docs" / "minecraft.md").read_text()
    rows = {row.split("`")[1]: row for row in page.splitlines() if row.startswith("| `") and "(" in row}
    for kind, generator in GENERATORS.items():
        for name, field in generator.model_fields.items():
            shown = {"True": "yes", "False": "no", "None": "none"}.get(str(field.default), field.default)
            assert name == "kind" or f"`{name}` ({shown}" in rows[kind]
