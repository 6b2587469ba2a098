"""A blueprint as a page that a child could follow: what to fetch, a picture of each layer, where to stand."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from jinja2 import Environment, PackageLoader, StrictUndefined

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_state import AIR
from mmi_minecraft.blueprint import Blueprint, Canvas, Position
from mmi_minecraft.building import BuildOrder, BuildStep, build_order
from mmi_minecraft.colors import color_of
from mmi_minecraft.drawing import data_uri, draw_layer, draw_whole
from mmi_minecraft.materials import items, materials, unobtainable
from mmi_minecraft.progress import Progress, filled_layers

__all__ = ["render_howto"]

_STANDS_SHOWN = 9
_MOST_DRAWN = 300_000  # blocks in all pictures of the growing building
_MOST_LAYERS = 256


@dataclass(frozen=True, kw_only=True)
class _Counted:
    color: str
    count: int
    title: str


@dataclass(frozen=True, kw_only=True)
class _Here:
    """What the page says about how far the building is."""

    told: str
    finished: int
    blocks: list[_Counted]
    in_the_way: int
    plan: str


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """What the page says about a layer."""

    number: int
    in_ground: bool
    hanging: bool
    blocks: list[_Counted]
    stands: Sequence[tuple[int, int]]
    more_stands: int
    jumps: int
    scaffolds: Sequence[tuple[int, int]]
    scaffolding: int
    plan: str
    grown: str


def render_howto(blueprint: Blueprint, *, assumed: Sequence[str] = (), progress: Progress | None = None) -> str:
    """Makes the page.

    Args:
        blueprint: What is built.
        assumed: What was not asked for and was chosen.
        progress: How far it is, if somebody looked.

    Raises:
        ConfigError: If it has more layers than a page can show.
    """
    if blueprint.size.y > _MOST_LAYERS:
        raise ConfigError(f"a page of {blueprint.size.y} layers would be too long: expected at most {_MOST_LAYERS}")
    order, trouble = BuildOrder(steps=()), ""
    try:
        order = build_order(blueprint)
    except ConfigError as error:
        trouble = str(error)
    environment = Environment(loader=PackageLoader("mmi_minecraft"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("howto.html.j2").render(
        title=blueprint.name or "a building",
        size=blueprint.size,
        num_blocks=blueprint.num_blocks,
        assumed=assumed,
        here=_here(progress) if progress else None,
        picture=data_uri(draw_whole(blueprint)),
        materials=materials(blueprint, scaffolding=order.scaffolding),
        unobtainable=[name.replace("_", " ") for name in unobtainable(blueprint)],
        trouble=trouble,
        scaffolding=order.scaffolding,
        layers=_layers(blueprint, order),
    )


def _here(progress: Progress) -> _Here:
    """The layer that is being built: what stands of it is faint, what is missing is not."""
    layer = progress.current
    if layer is None:
        return _Here(told=str(progress), finished=len(progress.layers), blocks=[], in_the_way=0, plan="")
    missing = {each.position.minus(progress.blueprint.origin): each.wanted for each in layer.missing}
    (width, _, depth), picture = progress.blueprint.size, Canvas()
    for z, x in product(range(depth), range(width)):
        cell = Position(x, layer.y, z)
        stands = progress.blueprint[cell] if cell not in missing else AIR
        picture[x, 0, z], picture[x, 1, z] = stands, missing.get(cell, AIR)
    crosses = [(at.x, at.z) for at in (each.position.minus(progress.blueprint.origin) for each in layer.in_the_way)]
    return _Here(
        told=str(progress),
        finished=layer.number - 1,
        blocks=_counted(picture.blueprint(), 1),
        in_the_way=len(layer.in_the_way),
        plan=data_uri(draw_layer(picture.blueprint(), 1, crosses=crosses)),
    )


def _layers(blueprint: Blueprint, order: BuildOrder) -> list[_Layer]:
    grows = blueprint.num_blocks * blueprint.size.y <= _MOST_DRAWN
    return [_layer(blueprint, y, number, order, grows) for number, y in enumerate(filled_layers(blueprint), 1)]


def _layer(blueprint: Blueprint, y: int, number: int, order: BuildOrder, grows: bool) -> _Layer:
    height = y + blueprint.origin.y
    placed = [step for step in order.steps if step.action == "place" and step.position.y == height]
    stands = _columns(blueprint, (step.stand for step in placed))
    shown = stands[:_STANDS_SHOWN]
    put_up = _scaffolds(order, placed)
    crosses = _columns(blueprint, (step.position for step in put_up))
    return _Layer(
        number=number,
        in_ground=height < 0,
        hanging=y > 0,
        blocks=_counted(blueprint, y),
        stands=shown,
        more_stands=len(stands) - len(shown),
        jumps=sum(step.stand == step.position for step in placed),
        scaffolds=crosses,
        scaffolding=len(put_up),
        plan=data_uri(draw_layer(blueprint, y, stands=shown, crosses=crosses)),
        grown=data_uri(draw_whole(blueprint, up_to=y)) if grows else "",
    )


def _columns(blueprint: Blueprint, positions: Iterable[Position]) -> list[tuple[int, int]]:
    """Where that is as seen from above, each place once."""
    return list(dict.fromkeys((at.x - blueprint.origin.x, at.z - blueprint.origin.z) for at in positions))


def _counted(blueprint: Blueprint, y: int) -> list[_Counted]:
    counted: Counter[tuple[str, str]] = Counter()
    for row in blueprint.layer(y):
        for state in row:
            for item, count in items(state) if state in blueprint.counts else ():
                counted[item.replace("_", " "), "#{:02x}{:02x}{:02x}".format(*color_of(state))] += count
    return [_Counted(title=title, color=color, count=count) for (title, color), count in counted.most_common()]


def _scaffolds(order: BuildOrder, placed: Sequence[BuildStep]) -> list[BuildStep]:
    """What is put up between the last block of the layer before and the last one of this."""
    if not placed:
        return []
    steps = list(order.steps)
    first, last = steps.index(placed[0]), steps.index(placed[-1])
    before = next((at for at in range(first, 0, -1) if steps[at - 1].action == "place"), 0)
    return [step for step in steps[before:last] if step.action == "scaffold"]
