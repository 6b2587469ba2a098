"""A server that answers late, as one far away or on a busy machine does: nothing is built wrong for it."""

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from live import GROUND, Plot, eventually, joined
from mmi_minecraft import Canvas, Position
from mmi_minecraft.building.live import build
from mmi_minecraft.materials import materials
from mmi_minecraft.server import Player, PracticeServer

from mmi_agent.errors import ActionError

DELAY_S = 0.2
SEEN_BLOCKS = 103  # a wall of 100 and where its builder stands


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hands on what comes, late and in order."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(1 << 16):
        loop.call_later(DELAY_S, writer.write, data)
    loop.call_later(DELAY_S, writer.close)


@contextmanager
def far_away(port: int) -> Generator[int]:
    """A port through which a port of this machine is far away."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, to_there), carry(there, writer))

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(meet, "127.0.0.1", 0))
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture(scope="module")
def distant(serve: Callable[..., PracticeServer]) -> Iterator[Player]:
    """A player whose server is far away."""
    with far_away(serve("1.21.4").port) as port:
        player = joined(port, "distant")
        yield player
        player.close()


@pytest.fixture
def late(serve: Callable[..., PracticeServer], distant: Player) -> Plot:
    return Plot(serve("1.21.4"), distant)


def test_who_has_come_in_is_not_sent_back_and_sees_the_land_around(serve: Callable[..., PracticeServer]) -> None:
    server = serve("1.21.4")
    with far_away(server.port) as port:
        player = joined(port, "newcomer")
        server.teleport("newcomer", (24.5, GROUND, 24.5))
        eventually(lambda: player.state().cell == Position(24, GROUND, 24))
        player.wait(5 * DELAY_S)  # until the server has heard of the first step and would have answered it
        assert player.state().cell == Position(24, GROUND, 24)
        eventually(lambda: sees(player, Position(24 + SEEN_BLOCKS, GROUND - 1, 24)))
        player.close()


def sees(player: Player, at: Position) -> bool:
    try:
        return bool(player.block(at))
    except ActionError:
        return False


def test_a_pillar_carries_whoever_jumps_on_it(late: Plot) -> None:
    late.give(scaffolding=5)
    feet = late.player.state().cell
    for height in range(1, 6):
        late.player.pillar("scaffolding", "scaffolding")
        assert late.player.state().cell == feet.plus((0, height, 0))
    eventually(lambda: late.where() == feet.plus((0, 5, 0)))
    column = late.server.read(feet, feet.plus((0, 5, 0)))
    assert [state.name for _, state in column.blocks()] == ["scaffolding"] * 5


@pytest.mark.parametrize("mode", ["survival", "creative"])
def test_what_is_dug_is_gone_for_the_server_too(
    serve: Callable[..., PracticeServer], distant: Player, mode: str
) -> None:
    late = Plot(serve("1.21.4"), distant, mode)
    eventually(lambda: distant.state().game_mode == mode)
    late.set({(-1, 0, -1): "dirt"})
    late.player.dig(late.at.plus((-1, 0, -1)))
    assert late.block(-1, 0, -1) == "air"


def test_what_nobody_answers_is_not_dug(serve: Callable[..., PracticeServer]) -> None:
    with far_away(serve("1.21.4").port) as port:
        player = joined(port, "unheard")
    ground = player.state().cell.plus((0, -1, 0))
    with pytest.raises(ActionError, match=f"the server did not let you dig the grass_block at 8 {GROUND - 1} 8"):
        player.dig(ground)
    assert player.block(ground).name == "grass_block"
    player.close()


def test_what_is_crafted_the_server_has_given(late: Plot) -> None:
    late.give(oak_log=1)
    assert late.player.craft("oak_planks", 4) == 4
    assert late.carried() == {"oak_planks": 4}


def test_who_built_high_up_comes_down_and_leaves_no_scaffolding(late: Plot) -> None:
    canvas = Canvas()
    canvas.fill([0], range(8), [0], "stone")
    mast = canvas.blueprint()
    late.give(**{material.item: material.count for material in materials(mast, scaffolding=8)}, iron_shovel=1)
    report = build(late.player, mast, late.at)
    assert report.complete, report
    assert late.player.state().cell.y == GROUND
    assert late.server.read(late.at.plus((-5, 0, -5)), late.at.plus((5, 12, 5))).num_blocks == 8
