"""MineDojo's own client in a live game: it walks, looks, digs, places, uses and makes, and the game's server agrees."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from malmo_server import MalmoServer
from malmo_world import SPAWN, USERNAME, LiveWorld
from mmi_minecraft.minedojo import MineDojoEnvironment
from PIL import Image, ImageChops

from mmi_agent.pictures import MemoryPictures
from mmi_agent.testing import check_environment
from mmi_agent.tool import invoke
from mmi_agent.types import Element, Observation

pytestmark = pytest.mark.browser

WIDTH_PX, HEIGHT_PX = 240, 135


class Playing:
    """An environment in hand, its pictures, and the server behind it."""

    def __init__(self, environment: MineDojoEnvironment, live: LiveWorld) -> None:
        self.environment, self.server, self.live = environment, live.server, live
        self.pictures = MemoryPictures()

    def begin(self, task: str, *arranged: tuple[tuple[int, int, int], str]) -> Observation:
        self.live.arrange = list(arranged)
        self.environment.load(task)
        return self.environment.reset(seed=1, pictures=self.pictures)

    def do(self, tool: str, **arguments: object) -> str:
        tools = {each.name: each for each in self.environment.tools}
        outcome = invoke(tools[tool], arguments)  # pyright: ignore[reportArgumentType]
        assert outcome.status == "done", outcome
        return outcome.text

    def see(self, name: str) -> Element:
        seen = self.environment.observe().elements
        return next(element for element in seen if element.name == name)

    def wait_for(self, happens: Callable[[], object]) -> None:
        """Lets time pass in the game until something is so: the server and its player take a while to agree."""
        for _ in range(100):
            if happens():
                return
            self.do("wait")
        raise AssertionError("it did not happen within 100 ticks")

    def picture(self) -> Image.Image:
        return Image.open(BytesIO(self.pictures.get(self.environment.observe().pictures[0].digest)))

    def block(self, *cell: int) -> str:
        x, y, z = cell
        return self.server.read((x, y, z), (x, y, z))[0, 0, 0].name

    @property
    def owned(self) -> dict[str, int]:
        return dict(self.server.players()[0].inventory)


def _environment(malmo: MalmoServer) -> MineDojoEnvironment:
    return MineDojoEnvironment("harvest_1_log", address=malmo.address, width_px=WIDTH_PX, height_px=HEIGHT_PX)


@pytest.fixture(scope="module")
def playing(live: LiveWorld, python: Path) -> Iterator[Playing]:
    malmo = MalmoServer(live)
    with _environment(malmo) as environment:
        yield Playing(environment, live)
    malmo.close()


def test_it_keeps_the_contract(live: LiveWorld, python: Path) -> None:
    malmo = MalmoServer(live)
    live.arrange = [((8, 5, 5), "oak_log")]
    check_environment(lambda: _environment(malmo), compare_pictures=False)
    malmo.close()


def test_it_walks_and_looks_where_it_is_told(playing: Playing) -> None:
    seen = playing.begin("creative:0")
    assert playing.environment.instruction
    assert "x 8.5, y 5.0, z 8.5; facing north (yaw 180), looking straight ahead" in seen.text
    assert "Beside you: grass below" in seen.text
    before = playing.picture()
    playing.do("move", direction="forward", ticks=8)
    playing.wait_for(lambda: playing.server.players()[0].position[2] < SPAWN[2] - 1)
    assert abs(playing.server.players()[0].position[0] - SPAWN[0]) < 0.1
    playing.do("move", direction="right", ticks=4)
    playing.wait_for(lambda: playing.server.players()[0].position[0] > SPAWN[0] + 0.5)
    playing.do("look", turn_deg=90, tilt_deg=45)
    assert "facing east (yaw 270), looking 45 degrees down" in playing.environment.observe().text
    sky, ground = before.getpixel((120, 5)), playing.picture().getpixel((120, 5))
    assert isinstance(sky, tuple) and sky[2] > 200  # the sky is blue
    assert isinstance(ground, tuple) and ground[1] > ground[2]  # and what is under the feet is green


def test_what_is_in_sight_is_marked_where_it_is(playing: Playing) -> None:
    playing.begin("creative:0")
    meadow = playing.picture()
    playing.begin("creative:0", ((11, 5, 5), "oak_log"))
    log = playing.see("log")
    assert (log.role, log.source) == ("block", "game")
    changed = ImageChops.difference(meadow, playing.picture()).convert("L").point([0] * 40 + [255] * 216)
    box = changed.getbbox()
    assert box is not None  # what has changed in the picture is the log, and it is where the element is said to be
    scaled = [1000 * number / side for number, side in zip(box, meadow.size * 2, strict=True)]
    assert all(abs(a - b) < 60 for a, b in zip(scaled, log.box, strict=True)), (scaled, log.box)
    playing.do("look_at", mark=log.mark)
    center = playing.see("log").center[0]
    assert abs(center - 500) < 120  # 15 degrees is as near as it gets


def test_it_digs_gathers_and_is_judged(playing: Playing) -> None:
    playing.begin("harvest_1_dirt")
    assert playing.environment.instruction == "obtain dirt"
    playing.do("look", tilt_deg=60)
    told = playing.do("attack", ticks=60)
    assert "gained 1 dirt" in told and "MineDojo's reward: 1" in told and "the episode is over" in told
    assert playing.owned == {"dirt": 1}
    assert playing.block(8, 4, 7) == "air"
    verdict = playing.environment.verdict()
    assert verdict is not None and verdict.success and verdict.reward == 1


def test_it_places_uses_makes_and_makes_away(playing: Playing) -> None:
    playing.begin("creative:0", ((8, 5, 6), "oak_fence_gate[facing=north]"))
    playing.server.give(USERNAME, "oak_log", 2)
    playing.server.give(USERNAME, "dirt", 3)
    playing.wait_for(lambda: "Inventory by slot: 0: 2 log, 1: 3 dirt" in playing.environment.observe().text)
    gate = playing.see("oak_fence_gate")
    playing.do("look_at", mark=gate.mark)
    playing.do("use")
    playing.wait_for(lambda: "open=true" in playing.server.read((8, 5, 6), (8, 5, 6))[0, 0, 0].full)
    playing.do("look", turn_deg=180, tilt_deg=15)
    assert "lost 1 dirt" in playing.do("place", item="dirt")
    assert "dirt" in {playing.block(8, 5, z) for z in (9, 10, 11)}
    assert "gained 4 planks; lost 1 log" in playing.do("craft", item="planks")
    assert playing.owned == {"oak_log": 1, "dirt": 2, "oak_planks": 4}
    slots = playing.environment.observe().text
    number = slots.partition(": 2 dirt")[0].rpartition(" ")[2]
    assert "lost 2 dirt" in playing.do("destroy", slot=int(number))
    assert playing.owned == {"oak_log": 1, "oak_planks": 4}
