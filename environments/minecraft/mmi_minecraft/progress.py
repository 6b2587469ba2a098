"""How far a building is, from what stands in the world: layer by layer, as the page that shows how to build it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from mmi_agent.errors import ConfigError
from mmi_minecraft.block_state import AIR
from mmi_minecraft.blueprint import Blueprint
from mmi_minecraft.building.ground import REPLACED
from mmi_minecraft.building.verifying import Difference, Verification
from mmi_minecraft.materials import items

__all__ = ["LayerProgress", "Progress", "filled_layers", "progress_of"]

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True, kw_only=True)
class LayerProgress:
    """What is left to do in a layer.

    Attributes:
        number: Counted from 1 at the bottom; layers without blocks are not counted.
        y: The layer's place in the blueprint.
        missing: The cells whose block does not stand yet, be it that another one does.
        in_the_way: The cells where something has to be dug away first.
    """

    number: int
    y: int
    missing: tuple[Difference, ...]
    in_the_way: tuple[Difference, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return not self.missing and not self.in_the_way

    @property
    def items(self) -> Mapping[str, int]:
        """The items that are still to be put down, most of them first."""
        counted: Counter[str] = Counter()
        for difference in self.missing:
            for item, count in items(difference.wanted):
                counted[item] += count
        return dict(counted.most_common())


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a building is.

    Attributes:
        blueprint: What was planned, with its place in the world as origin.
        layers: Each layer that has blocks, from the bottom.
    """

    blueprint: Blueprint
    layers: tuple[LayerProgress, ...]

    @property
    def current(self) -> LayerProgress | None:
        """The lowest layer in which something is left to do; None if the building stands."""
        return next((layer for layer in self.layers if not layer.complete), None)

    def __str__(self) -> str:
        """As in "layer 2 of 4, six blocks missing: 5 oak fence, 1 oak fence gate"."""
        layer = self.current
        if layer is None:
            return f"all {len(self.layers)} layers stand" if len(self.layers) > 1 else "the only layer stands"
        told = f"layer {layer.number} of {len(self.layers)}"
        if layer.missing:
            named = ", ".join(f"{count} {item.replace('_', ' ')}" for item, count in layer.items.items())
            told += f", {_blocks(len(layer.missing))} missing" + (f": {named}" if named else "")
        if layer.in_the_way:
            told += f"{';' if layer.missing else ','} {_blocks(len(layer.in_the_way))} in the way"
        return told


def filled_layers(blueprint: Blueprint) -> list[int]:
    """The layers that something is put down in, from the bottom."""
    taking = {state for state in blueprint.counts if any(items(state))}
    return [y for y in range(blueprint.size.y) if any(state in taking for row in blueprint.layer(y) for state in row)]


def progress_of(verification: Verification) -> Progress:
    """Sorts what is wrong by layers; one without blocks belongs to the next one below that has some.

    Raises:
        ConfigError: If the plan puts nothing down.
    """
    blueprint = verification.blueprint
    layers: list[LayerProgress] = []
    filled = filled_layers(blueprint)
    if not filled:
        raise ConfigError("the plan has no blocks, so it has no layers that could be built")
    for place, y in enumerate(filled):
        low = y if place else 0
        high = filled[place + 1] if place + 1 < len(filled) else blueprint.size.y
        here = [each for each in verification.wrong if low <= each.position.y - blueprint.origin.y < high]
        layers.append(
            LayerProgress(
                number=place + 1,
                y=y,
                missing=tuple(each for each in here if each.wanted != AIR),
                in_the_way=tuple(each for each in here if each.wanted == AIR or each.found.name not in REPLACED),
            )
        )
    return Progress(blueprint=blueprint, layers=tuple(layers))


def _blocks(count: int) -> str:
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number} block{'s' * (count != 1)}"
