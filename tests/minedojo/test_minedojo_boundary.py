"""MineDojo in its own process: what reaches the game, what comes back, and what happens when something breaks."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from malmo_server import MalmoServer, StillWorld, slot
from mmi_minecraft.minedojo import MineDojoEnvironment
from mmi_minecraft.minedojo.boundary import SimulatorProcess

from mmi_agent.errors import ConfigError, EnvironmentFailure, MissingDependencyError, UnknownNameError
from mmi_agent.pictures import MemoryPictures
from mmi_agent.tool import invoke
from mmi_agent.types import Outcome

WIDTH_PX, HEIGHT_PX = 64, 36


def do(environment: MineDojoEnvironment, tool: str, **arguments: object) -> Outcome:
    return invoke(next(each for each in environment.tools if each.name == tool), arguments)  # pyright: ignore[reportArgumentType]


def hold(world: StillWorld, *stacks: tuple[str, int]) -> None:
    """Puts stacks into the first slots of the player's inventory."""
    filled = [slot(index, name, quantity) for index, (name, quantity) in enumerate(stacks)]
    world.changes["inventory"] = [*filled, *map(slot, range(len(filled), 41))]


@pytest.fixture(scope="module")
def played(malmo: MalmoServer, python: Path) -> Iterator[MineDojoEnvironment]:
    with MineDojoEnvironment(
        "harvest_8_planks", address=malmo.address, width_px=WIDTH_PX, height_px=HEIGHT_PX
    ) as environment:
        yield environment


def test_tasks_of_every_kind_begin_again_and_again(still: StillWorld, played: MineDojoEnvironment) -> None:
    kinds = {
        "harvest_1_dirt": "obtain dirt",
        "combat_shulker_end_iron_armors_wooden_sword_shield": "combat",
        "techtree_from_barehand_to_wooden_sword": "wooden",
        "survival": "survive",
        "creative:0": "",
        "creative:1557": "",
        "playthrough": "Ender Dragon",
    }
    for number, (task, prompt) in enumerate([*kinds.items(), *list(kinds.items())[:2]]):
        played.load(task)
        seen = played.reset(seed=number, pictures=MemoryPictures())
        assert prompt.lower() in played.instruction.lower() and played.instruction, task
        assert played.name == f"minecraft/minedojo:{task}"
        assert (seen.pictures[0].width_px, seen.pictures[0].height_px) == (WIDTH_PX, HEIGHT_PX)
        assert do(played, "wait", ticks=2).text == "did it for 2 ticks"
        assert played.verdict() is None
    missions = still.missions
    assert [mission.seed for mission in missions] == [str(number + 1) for number in range(len(missions))]
    assert all(mission.made_anew for mission in missions)
    armed = missions[list(kinds).index("combat_shulker_end_iron_armors_wooden_sword_shield")]
    assert ("wooden_sword", 1) in armed.inventory


def test_what_is_asked_for_is_what_the_game_hears(still: StillWorld, played: MineDojoEnvironment) -> None:
    played.load("harvest_8_planks")
    hold(still, ("diamond_axe", 1), ("log", 4), ("planks", 2))
    played.reset(pictures=MemoryPictures())
    heard = still.commands

    def check(tool: str, expected: dict[str, str], **arguments: object) -> None:
        heard.clear()
        assert do(played, tool, **arguments).status == "done"
        busy = {name: value for name, value in heard[0].items() if value not in ("0", "none", "0.0 0.0")}
        assert busy == expected

    check("move", {"forward": "1"}, direction="forward", ticks=3)
    assert len(heard) == 3
    check("move", {"left": "1", "sprint": "1"}, direction="left", gait="sprint")
    check("look", {"camera": "-90.0 180.0"}, tilt_deg=-90, turn_deg=180)
    check("jump", {"jump": "1"})
    check("sneak", {"sneak": "1"})
    check("attack", {"attack": "1"})
    check("use", {"use": "1"})
    check("drop", {"drop": "1"})
    check("craft", {"craft": "stick"}, item="stick")
    check("equip", {"equip": "diamond_axe"}, item="diamond axe")
    check("place", {"place": "log"}, item="log")
    check("destroy", {"chat": "/replaceitem entity @p slot.hotbar.2 minecraft:air 1 0"}, slot=2)
    check("wait", {}, ticks=1)
    together = {"back": "1", "jump": "1", "camera": "15.0 0.0", "attack": "1"}
    check("act", together, walk="back", gait="jump", tilt_deg=15, deed="attack")


def test_what_is_seen_is_what_the_game_told(still: StillWorld, played: MineDojoEnvironment) -> None:
    hold(still, ("diamond_axe", 1), ("log", 4))
    changes = {"xpos": -3.25, "ypos": 70.0, "zpos": 12.5, "yaw": 90.0, "pitch": -30.0, "life": 7.0, "biome_id": 21}
    still.changes |= changes | {"nearby_furnace": True, "is_raining": True}
    assert played.reset(pictures=MemoryPictures()).text.splitlines() == [
        "Position: x -3.2, y 70.0, z 12.5; facing west (yaw 90), looking 30 degrees up",
        "Biome jungle; light 15 of 15; it rains",
        "Health 7 of 20, food 20 of 20, air 300 of 300",
        "In the hand: diamond axe",
        "Inventory by slot: 0: 1 diamond axe, 1: 4 log",
        "Can be used from here: furnace",
        "Can be made now: planks, coal",
    ]


def test_rewards_and_success_are_minedojos(still: StillWorld, played: MineDojoEnvironment) -> None:
    played.load("harvest_8_planks")
    hold(still, ("log", 4))
    played.reset(pictures=MemoryPictures())
    tick = still.tick

    def craft(commands: dict[str, str]) -> None:
        if commands["craft"] == "planks":
            made = sum("planks" in each["craft"] for each in still.commands) + 1
            hold(still, ("log", 4 - made), ("planks", 4 * made))
        tick(commands)

    still.tick = craft
    first = do(played, "craft", item="planks")  # MineDojo itself would lose this reward in the two ticks that follow
    assert first.text == "did it for 3 ticks; gained 4 planks; lost 1 log; MineDojo's reward: 4"
    assert played.verdict() is None
    assert "the episode is over" in do(played, "craft", item="planks").text
    verdict = played.verdict()
    assert verdict is not None
    assert (verdict.success, verdict.reward) == (True, 8.0)
    assert verdict.reason == "MineDojo says that the task is done; its rewards come to 8"
    late = do(played, "wait")
    assert (late.status, late.text) == ("failed", "the episode is over")


def test_an_episode_that_the_game_ends_is_no_success(still: StillWorld, played: MineDojoEnvironment) -> None:
    for task, judged in (("harvest_8_planks", True), ("creative:3", False)):
        played.load(task)
        played.reset(pictures=MemoryPictures())
        still.done = True
        assert do(played, "move", direction="back", ticks=20).text == "did it for 1 tick; the episode is over"
        verdict = played.verdict()
        assert verdict is not None and not verdict.success
        assert ("it judges no creative task" in verdict.reason) != judged


def test_a_game_that_breaks_off_is_told_and_the_next_episode_begins(
    malmo: MalmoServer, still: StillWorld, played: MineDojoEnvironment
) -> None:
    played.reset(pictures=MemoryPictures())
    malmo.break_off()
    with pytest.raises(EnvironmentFailure, match="the game is gone: the connection to it broke"):
        do(played, "wait")
    with pytest.raises(EnvironmentFailure, match="reset comes first"):
        played.observe()
    played.reset(pictures=MemoryPictures())
    assert do(played, "wait").status == "done"


def test_a_process_that_is_killed_is_told_and_replaced(still: StillWorld, played: MineDojoEnvironment) -> None:
    played.reset(pictures=MemoryPictures())
    assert played._simulator is not None
    os.kill(played._simulator.pid, signal.SIGKILL)
    with pytest.raises(EnvironmentFailure, match=r"MineDojo's process (has ended|is gone)"):
        do(played, "wait")
    played.reset(pictures=MemoryPictures())


def test_what_does_not_answer_in_time_is_ended(python: Path) -> None:
    simulator = SimulatorProcess(python)
    process = psutil.Process(simulator.pid)
    process.suspend()
    with pytest.raises(EnvironmentFailure, match=r"MineDojo did not describe within 0\.5 s"):
        simulator.request("describe", timeout_s=0.5)
    assert not process.is_running()
    simulator.close()


def test_wrong_names_and_addresses_are_told(python: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown MineDojo task 'harvest_mlik': did you mean 'harvest_milk'"):
        MineDojoEnvironment("harvest_mlik")
    with pytest.raises(ConfigError, match=r"'example.org:80' is no address of a game: .* as localhost:9000"):
        MineDojoEnvironment(address="example.org:80")
    with pytest.raises(ConfigError, match="16 to 2048 px"):
        MineDojoEnvironment(width_px=5)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConfigError, match=f"nothing listens at localhost:{port}: expected a Malmo client"):
        MineDojoEnvironment(address=f"localhost:{port}").reset(pictures=MemoryPictures())


# ---- a game that MineDojo starts


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts the stand-in where MineDojo looks for Java; what it is called tells it what to do."""
    stand_in = Path(__file__).with_name("java_stand_in.py").resolve()

    def install(kind: str) -> None:
        program = tmp_path / kind / "bin" / "java"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" --{kind} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / kind))
        monkeypatch.setenv("DISPLAY", ":99")  # the stand-in shows nothing

    return install


def _games() -> set[int]:
    found = psutil.process_iter(["cmdline"])
    return {each.pid for each in found if any("java_stand_in" in word for word in each.info["cmdline"] or ())}


def _gone(before: set[int], within_s: float) -> bool:
    until = time.monotonic() + within_s
    while _games() - before and time.monotonic() < until:
        time.sleep(0.2)
    return not _games() - before


def test_without_java_8_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"needs Java 8, and .*/bin/java is not there: install a JDK 8"):
        MineDojoEnvironment().reset(pictures=MemoryPictures())


def test_a_game_is_started_and_ended(java: Callable[[str], None], python: Path) -> None:
    before = _games()
    java("starts")
    with MineDojoEnvironment("harvest_1_dirt", width_px=WIDTH_PX, height_px=HEIGHT_PX) as environment:
        environment.reset(seed=1, pictures=MemoryPictures())
        (game,) = _games() - before
        environment.load("harvest_milk")
        environment.reset(seed=2, pictures=MemoryPictures())
        assert _games() - before == {game}  # the second episode has the same game
        assert do(environment, "wait").status == "done"
    assert _gone(before, within_s=10)


def test_a_game_that_does_not_start_says_why(java: Callable[[str], None], python: Path) -> None:
    java("refuses")
    with pytest.raises(EnvironmentFailure, match=r"Minecraft did not start: \* What went wrong: .*"):
        MineDojoEnvironment("harvest_1_dirt", width_px=WIDTH_PX, height_px=HEIGHT_PX).reset(pictures=MemoryPictures())


_OWNER = """
import sys
from mmi_minecraft.minedojo import MineDojoEnvironment
from mmi_agent.pictures import MemoryPictures
environment = MineDojoEnvironment("harvest_1_dirt", width_px=64, height_px=36)
environment.reset(pictures=MemoryPictures())
print(environment._simulator.pid, flush=True)
sys.stdin.read()
"""


def test_all_of_it_dies_with_its_owner(java: Callable[[str], None], python: Path) -> None:
    before = _games()
    java("starts")
    with subprocess.Popen([sys.executable, "-c", _OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        simulator = psutil.Process(int(owner.stdout.readline()))
        assert _games() - before
        owner.kill()
    simulator.wait(timeout=10)
    assert _gone(before, within_s=15)
