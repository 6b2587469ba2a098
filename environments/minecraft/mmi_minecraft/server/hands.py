"""Carries out what a policy asks for, and says what came of it. What cannot be done is a reason, not a failure."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from mmi_agent.errors import ActionError, ConfigError, MMIError, UnknownNameError
from mmi_agent.pictures import PictureStore
from mmi_agent.types import Outcome
from mmi_minecraft.block_state import BlockState
from mmi_minecraft.block_table import block_names, data_versions
from mmi_minecraft.blueprint import Blueprint, Position
from mmi_minecraft.building.live import build, stand_for
from mmi_minecraft.formats import read_blueprint
from mmi_minecraft.generators import Structure
from mmi_minecraft.materials import items
from mmi_minecraft.server.player import Player, PlayerState
from mmi_minecraft.transforms import rotated

__all__ = ["Hands"]

_BUILD_TIMEOUT_S = 90
_FLIGHT_ROOM = 8

At = tuple[int, int, int]


class Hands:
    """The tools of a player, as functions.

    Args:
        player: Who acts; asked for anew each time, since a game can be joined again.
        pictures: Where pictures of what is not as planned are put.
        blueprints: The folder of files that may be built; None for none.
    """

    def __init__(
        self, player: Callable[[], Player], pictures: Callable[[], PictureStore], blueprints: Path | None
    ) -> None:
        self._player = player
        self._pictures = pictures
        self._blueprints = blueprints

    def look_at(self, at: At) -> Outcome:
        """Turns to the middle of a cell."""
        x, y, z = at
        self._player().look_at((x + 0.5, y + 0.5, z + 0.5))
        return Outcome(text=f"looking at {x} {y} {z}, which is {self._player().block(Position(*at))}")

    def move_to(self, at: At, near: int) -> Outcome:
        """Walks, or flies where one can and no way leads there."""
        player, to = self._player(), Position(*at)
        before = player.state()
        try:
            player.walk(to, within_blocks=near)
        except ActionError:
            if before.game_mode != "creative":
                raise
            self._fly(player, before, to)
        return Outcome(text=f"now at {_text(player.state().cell)}")

    def _fly(self, player: Player, before: PlayerState, to: Position) -> None:
        body = player.read(to, to.plus((0, 1, 0)))
        if blocking := next((state for _, state in body.blocks() if state.kind.shape != "none"), None):
            raise ActionError(f"there is no room at {_text(to)}: {blocking} is in the way")
        player.fly(to, over=max(before.position[1], to.y) + _FLIGHT_ROOM)

    def place(self, at: At, text: str) -> Outcome:
        """Puts a block down by hand."""
        player = self._player()
        state = player.state()
        block = _known_block(text, state.version)
        item, count = next(items(block), ("", 0))
        if count != 1:
            raise ActionError(f"{block} cannot be placed by itself: place the block that it belongs to")
        if state.game_mode != "creative" and item not in state.items:
            raise ActionError(str(UnknownNameError.among("item in the inventory", item, state.items)))
        stands = player.place(Position(*at), _demanded(block, text), item)
        return Outcome(text=f"{stands} stands at {_text(Position(*at))}")

    def dig(self, at: At) -> Outcome:
        """Digs a block away."""
        name = self._player().dig(Position(*at))
        return Outcome(text=f"dug {name} at {_text(Position(*at))}")

    def craft(self, item: str, count: int) -> Outcome:
        """Crafts items."""
        made = self._player().craft(item.removeprefix("minecraft:"), count)
        return Outcome(text=f"crafted {made} {item}")

    def equip(self, item: str, destination: str) -> Outcome:
        """Takes an item into the hand, or puts it on."""
        player, name = self._player(), item.removeprefix("minecraft:")
        state = player.state()
        if state.game_mode != "creative" and name not in state.items:
            raise ActionError(str(UnknownNameError.among("item in the inventory", name, state.items)))
        player.equip(name, destination)
        return Outcome(text=f"{name} is in the hand" if destination == "hand" else f"{name}: {destination}")

    def chat(self, text: str) -> Outcome:
        """Says something."""
        line = " ".join(text.split())
        self._player().chat(line)
        return Outcome(text=f"said: {line}")

    def wait(self, seconds: float) -> Outcome:
        """Lets time pass."""
        self._player().wait(seconds)
        return Outcome(text=f"waited {seconds:g} s")

    def build(self, structure: Structure, at: At, turns: int) -> Outcome:
        """Builds a structure, or goes on with it."""
        return self._build(structure.blueprint(), at, turns)

    def build_file(self, file: str, at: At, turns: int) -> Outcome:
        """Builds what a file of the folder holds."""
        assert self._blueprints
        names = sorted(path.name for path in self._blueprints.iterdir() if path.is_file())
        if file not in names:
            raise ActionError(str(UnknownNameError.among("blueprint", file, names)))
        try:
            blueprint = read_blueprint(self._blueprints / file)
        except (MMIError, OSError) as error:
            raise ActionError(str(error)) from error
        return self._build(blueprint, at, turns)

    def _build(self, blueprint: Blueprint, at: At, turns: int) -> Outcome:
        turned = rotated(blueprint, turns)
        report = build(self._player(), turned, stand_for(turned, Position(*at)), timeout_s=_BUILD_TIMEOUT_S)
        pictures = ()
        if report.verification.wrong:
            drawn = BytesIO()
            report.verification.draw().save(drawn, "PNG")
            pictures = (self._pictures().put(drawn.getvalue(), origin="drawn"),)
        return Outcome(status="done" if report.complete else "failed", text=str(report), pictures=pictures)


def _known_block(text: str, version: str) -> BlockState:
    """The block, if that version has it.

    Raises:
        ActionError: If it does not, with the nearest that it has; or if it cannot be read.
    """
    try:
        state = BlockState.parse(text)
        if version in data_versions() and state.name not in (known := block_names(version)):
            raise UnknownNameError.among(f"block in Minecraft {version}", state.name, known)
    except (ConfigError, UnknownNameError) as error:
        raise ActionError(str(error)) from error
    return state


def _demanded(block: BlockState, text: str) -> str:
    """The block with those properties alone that were asked for."""
    asked = [key for key, _ in block.properties if f"{key}=" in text.replace(" ", "")]
    inner = ",".join(f"{key}={block.get(key)}" for key in asked)
    return f"{block.name}[{inner}]" if inner else block.name


def _text(at: Position) -> str:
    return f"{at.x} {at.y} {at.z}"
