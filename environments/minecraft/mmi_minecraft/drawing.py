"""Pictures of blueprints: the whole as seen from above a corner, and one layer as a plan."""

import base64
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO

from PIL import Image, ImageDraw

from mmi_minecraft.block_state import AIR, VOID, BlockState
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.colors import RGB, color_of, shaded
from mmi_minecraft.connections import WAYS

__all__ = ["data_uri", "draw_layer", "draw_whole"]

_BACKGROUND = (250, 250, 247)
_LINE = (70, 70, 70)
_GRID = (222, 222, 216)
_FAINT = 0.25
_STANDING = (214, 36, 36)
_MAX_SIDE_PX = 1600
_MAX_TILE_PX = 24
_TOP, _LEFT, _RIGHT = 1.08, 0.86, 0.68

_Box = tuple[float, float, float, float, float, float]
_Point = tuple[float, float]
_Projection = Callable[[float, float, float], _Point]


def draw_whole(blueprint: Blueprint, *, up_to: int | None = None) -> Image.Image:
    """The building from the south-east and above.

    Args:
        blueprint: What is drawn.
        up_to: The topmost layer that is drawn; all by default.
    """
    width, height, depth = blueprint.size
    tile = max(2, min(_MAX_TILE_PX, 2 * _MAX_SIDE_PX // (width + depth + 2 * height + 2) // 2))
    across, down = (width + depth) * tile, (width + depth) * tile / 2 + height * tile
    image = Image.new("RGB", (int(across) + 2 * tile, int(down) + 2 * tile), _BACKGROUND)
    draw = ImageDraw.Draw(image)

    def point(x: float, y: float, z: float) -> _Point:
        return ((x - z + depth) * tile + tile, (x + z) * tile / 2 + (height - y) * tile + tile)

    top = height - 1 if up_to is None else up_to
    shown = [(position, state) for position, state in blueprint.blocks() if position.y <= top]
    hiding = {position for position, state in shown if state.kind.shape == "full" and "glass" not in state.name}
    for position, state in sorted(shown, key=lambda cell: (cell[0].y, cell[0].x + cell[0].z)):
        seen = [position.plus(way) not in hiding for way in ((0, 1, 0), (0, 0, 1), (1, 0, 0))]
        if any(seen):
            for box in _boxes(state):
                _draw_box(draw, point, position, box, color_of(state))
    return image


def _draw_box(draw: ImageDraw.ImageDraw, point: _Projection, at: Position, box: _Box, color: RGB) -> None:
    west, bottom, north, east, top, south = (edge + at[index % 3] for index, edge in enumerate(box))
    faces = (
        (_TOP, [(west, top, north), (east, top, north), (east, top, south), (west, top, south)]),
        (_LEFT, [(west, top, south), (east, top, south), (east, bottom, south), (west, bottom, south)]),
        (_RIGHT, [(east, top, north), (east, top, south), (east, bottom, south), (east, bottom, north)]),
    )
    for factor, corners in faces:
        fill = shaded(color, factor)
        draw.polygon([point(*corner) for corner in corners], fill=fill, outline=shaded(fill, 0.85))


def _boxes(state: BlockState) -> list[_Box]:
    """What a block looks like, roughly: boxes within its cell, those farther away first."""
    name = state.name
    if name.endswith(("_fence", "_wall", "_pane")) or name in ("iron_bars", "glass_pane"):
        return _arms(state, 0.06 if name.endswith(("_pane", "_bars")) else 0.14)
    if name.endswith("_slab") and state.get("type") != "double":
        low = 0.5 if state.get("type") == "top" else 0.0
        return [(0, low, 0, 1, low + 0.5, 1)]
    if name.endswith("_stairs"):
        return _stairs(state)
    if name.endswith(("_door", "_fence_gate")):
        along_x = state.get("facing") in ("north", "south")
        return [(0, 0, 0.38, 1, 1, 0.62)] if along_x else [(0.38, 0, 0, 0.62, 1, 1)]
    if name == "ladder" or "wall_" in name:
        x, _, z = next((step for way, step in WAYS.items() if way == state.get("facing")), (0, 0, 0))
        near = (0.4 - 0.4 * x, 0.1, 0.4 - 0.4 * z, 0.6 - 0.4 * x, 0.9, 0.6 - 0.4 * z)
        return [near]
    if state.kind.shape == "none" and name not in ("water", "lava"):
        return [(0.4, 0, 0.4, 0.6, 0.6, 0.6)]
    return [(0, 0, 0, 1, 1, 1)]


def _arms(state: BlockState, half: float) -> list[_Box]:
    """A post and what reaches from it to the neighbours."""
    low, high = 0.5 - half, 0.5 + half
    arms: dict[str, _Box] = {
        "north": (low, 0.15, 0, high, 0.9, low),
        "west": (0, 0.15, low, low, 0.9, high),
        "south": (low, 0.15, high, high, 0.9, 1),
        "east": (high, 0.15, low, 1, 0.9, high),
    }
    reached = {way: box for way, box in arms.items() if state.get(way) in ("true", "low", "tall")}
    behind = [box for way, box in reached.items() if way in ("north", "west")]
    return [*behind, (low, 0, low, high, 1, high), *(box for way, box in reached.items() if way in ("south", "east"))]


def _stairs(state: BlockState) -> list[_Box]:
    """A half below (or above), and a half of a half on the side that they face."""
    low, high = (0.5, 0.0) if state.get("half") == "top" else (0.0, 0.5)
    steps: dict[str, _Box] = {
        "north": (0, high, 0, 1, high + 0.5, 0.5),
        "south": (0, high, 0.5, 1, high + 0.5, 1),
        "west": (0, high, 0, 0.5, high + 0.5, 1),
        "east": (0.5, high, 0, 1, high + 0.5, 1),
    }
    both: list[_Box] = [(0, low, 0, 1, low + 0.5, 1), steps[state.get("facing")]]
    return both if low < high else both[::-1]


def draw_layer(
    blueprint: Blueprint,
    y: int,
    *,
    stands: Sequence[tuple[int, int]] = (),
    crosses: Sequence[tuple[int, int]] = (),
) -> Image.Image:
    """A layer from above, north at the top; the layer below it is faint.

    Args:
        blueprint: What is drawn.
        y: Which layer, from 0.
        stands: Where the builder stands, in cells of the blueprint from the north-west; may be outside. In order.
        crosses: Where scaffolding is put up.
    """
    margin = 1 + max(
        [0, *(max(-x, x - blueprint.size.x + 1, -z, z - blueprint.size.z + 1) for x, z in (*stands, *crosses))]
    )
    margin = min(margin, 4)
    width, depth = blueprint.size.x + 2 * margin, blueprint.size.z + 2 * margin
    tile = max(4, min(2 * _MAX_TILE_PX, _MAX_SIDE_PX // max(width, depth)))
    image = Image.new("RGB", (width * tile + 1, depth * tile + 1), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    for x in range(0, width * tile + 1, tile):
        draw.line([(x, 0), (x, depth * tile)], fill=_GRID)
    for z in range(0, depth * tile + 1, tile):
        draw.line([(0, z), (width * tile, z)], fill=_GRID)
    for level, faint in ((y - 1, True), (y, False)):
        rows = blueprint.layer(level) if level >= 0 else []
        for z, row in enumerate(rows):
            for x, state in enumerate(row):
                if state not in (AIR, VOID):
                    _draw_tile(draw, state, (x + margin) * tile, (z + margin) * tile, tile, faint=faint)
    _draw_stands(draw, [((x + margin) * tile, (z + margin) * tile) for x, z in stands], tile)
    for x, z in crosses:
        left, top = (x + margin) * tile, (z + margin) * tile
        draw.line([(left, top), (left + tile, top + tile)], fill=_STANDING, width=2)
        draw.line([(left + tile, top), (left, top + tile)], fill=_STANDING, width=2)
    draw.text((width * tile // 2, 1), "N", fill=_LINE)
    return image


def _draw_tile(draw: ImageDraw.ImageDraw, state: BlockState, left: int, top: int, tile: int, *, faint: bool) -> None:
    color = color_of(state)
    if faint:
        color = _mixed(color, _BACKGROUND, _FAINT)
    line = _mixed(_LINE, _BACKGROUND, _FAINT) if faint else shaded(color, 0.6)
    for west, _, north, east, _, south in _boxes(state):
        edges = (left + west * tile, top + north * tile, left + east * tile, top + south * tile)
        draw.rectangle(edges, fill=color, outline=line)
    way = next((step for way, step in WAYS.items() if way == state.get("facing")), None)
    if way and not faint and tile >= 10:
        middle_x, middle_z = left + tile / 2, top + tile / 2
        tip = (middle_x + way[0] * tile * 0.35, middle_z + way[2] * tile * 0.35)
        draw.line([(middle_x, middle_z), tip], fill=_LINE, width=2)


def _draw_stands(draw: ImageDraw.ImageDraw, corners: Iterable[tuple[int, int]], tile: int) -> None:
    for number, (left, top) in enumerate(corners, 1):
        inner = tile // 4
        draw.ellipse((left + inner, top + inner, left + tile - inner, top + tile - inner), outline=_STANDING, width=2)
        if tile >= 14:
            draw.text((left + tile // 2 - 3 * len(str(number)), top + tile // 2 - 6), str(number), fill=_STANDING)


def _mixed(color: RGB, other: RGB, share: float) -> RGB:
    red, green, blue = (round(a * share + b * (1 - share)) for a, b in zip(color, other, strict=True))
    return (red, green, blue)


def data_uri(image: Image.Image) -> str:
    """A drawing as an address that holds it, for pages that need nothing else; few colours, so it is small."""
    buffer = BytesIO()
    image.quantize(64).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
