"""Minecraft on a live server: how fast it is built and how well it matches, how fast one sees, what a step costs.

    python benchmarks/bench_minecraft.py [--structures 3] [--seeds 1] [--mode creative] [--rounds 20] [--version 1.21.4]

The server is flying-squid on this machine. Each structure is built once for each seed, which turns it and moves it;
`match` leaves out how blocks join their neighbours, which flying-squid does not work out, `exact` counts it. A step
places a block and digs it again: by mineflayer alone, by the tools without a look, and with a look after each. All of
it is wall-clock time, so nothing else should run beside it.
"""

import argparse
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple, get_args

from mmi_minecraft import Position, rotated
from mmi_minecraft.building import build_order
from mmi_minecraft.building.live import BuildReport, build
from mmi_minecraft.generators import as_structure
from mmi_minecraft.materials import materials
from mmi_minecraft.server import Player, PracticeServer
from mmi_minecraft.server.environment import MinecraftEnvironment
from mmi_minecraft.server.node import bridge_packages, find_node
from mmi_minecraft.server.practice import GameMode

from mmi_agent.errors import ActionError
from mmi_agent.pictures import MemoryPictures
from mmi_agent.tool import invoke

STRUCTURES: list[dict[str, Any]] = [
    {"kind": "fence", "width": 9, "depth": 7, "gate": "south"},
    {"kind": "hut"},
    {"kind": "stairs", "height": 5, "width": 3},
    {"kind": "path", "length": 8, "border": "cobblestone"},
    {"kind": "bridge", "length": 10},
    {"kind": "wall", "length": 8, "height": 3},
    {"kind": "tower", "width": 5, "height": 8},
    {"kind": "fence", "material": "spruce", "width": 5, "depth": 5},
    {"kind": "hut", "roof_shape": "flat", "width": 5, "depth": 5},
    {"kind": "hut", "roof_shape": "pyramid", "roof": "cobblestone"},
    {"kind": "stairs", "material": "oak", "height": 3, "railing": True},
    {"kind": "path", "length": 6, "turn": "left", "lights": True},
    {"kind": "bridge", "length": 8, "material": "stone_brick", "lights": True},
    {"kind": "wall", "length": 6, "height": 4, "thickness": 2, "battlements": True},
    {"kind": "tower", "shape": "round", "width": 7, "height": 7},
    {"kind": "fence", "width": 8, "depth": 1, "height": 2},
    {"kind": "fence", "material": "nether_brick", "width": 6, "depth": 4},
    {"kind": "wall", "material": "bricks", "length": 5, "height": 2},
    {"kind": "stairs", "height": 4, "facing": "east", "filled": False},
    {"kind": "hut", "walls": "stone_bricks", "corners": "stone_bricks", "windows": 2},
]
_GROUND = 5
_PLAYER = "builder"


class Built(NamedTuple):
    """A structure that was built once."""

    name: str
    seed: int
    report: BuildReport


def clear(server: PracticeServer) -> None:
    server.fill((0, _GROUND, 0), (47, 28, 47), "air")
    server.fill((0, _GROUND - 1, 0), (47, _GROUND - 1, 47), "grass_block")
    server.teleport(_PLAYER, (8.5, _GROUND, 8.5))
    time.sleep(0.5)


def build_all(server: PracticeServer, mode: GameMode, count: int, seeds: int) -> Iterator[Built]:
    player = Player()
    player.join(server.host, server.port, _PLAYER, version=None, timeout_s=60)
    server.set_mode(_PLAYER, mode)
    for parameters in STRUCTURES[:count]:
        for seed in range(seeds):
            clear(server)
            blueprint = rotated(as_structure(parameters).blueprint(), seed)
            corner = Position(14 + seed, _GROUND, 14 + 2 * seed).minus((blueprint.origin.x, 0, blueprint.origin.z))
            if mode == "survival":
                server.clear(_PLAYER)
                scaffolding = max(build_order(blueprint).scaffolding, blueprint.size.y)
                for material in materials(blueprint, scaffolding=scaffolding):
                    server.give(_PLAYER, material.item, material.count)
                server.give(_PLAYER, "iron_shovel")
                time.sleep(0.5)
            try:
                yield Built(blueprint.name, seed, build(player, blueprint, corner))
            except ActionError as error:
                print(f"{blueprint.name}, seed {seed}: {error}")
    player.close()


def mean_ms(act: Callable[[], object], rounds: int) -> float:
    began = time.perf_counter()
    for _ in range(rounds):
        act()
    return 1000 * (time.perf_counter() - began) / rounds


def measure_steps(rounds: int) -> Iterator[tuple[str, str]]:
    bare = Path(__file__).with_name("bare_mineflayer.mjs")
    with PracticeServer(version="1.16.4", game_mode="creative") as server:
        command = [find_node(), str(bare), str(bridge_packages()), str(server.port), str(rounds)]
        alone = float(subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout)
        with MinecraftEnvironment(port=server.port) as world:
            pictures = MemoryPictures()
            world.reset("measure", pictures=pictures)
            tools = {tool.name: tool for tool in world.tools}
            at = {"x": 10, "y": _GROUND, "z": 10}

            def step() -> None:
                invoke(tools["place_block"], {**at, "block": "dirt"})
                invoke(tools["dig_block"], dict(at))

            places = cycle(range(10, 14))

            def turn_and_look() -> None:
                invoke(tools["look_at"], {"x": 10, "y": _GROUND, "z": next(places)})
                world.observe()

            step()
            through = mean_ms(step, rounds)
            look = mean_ms(world.observe, rounds)
            moving = mean_ms(turn_and_look, rounds)
    yield "a step (place and dig) by mineflayer alone", f"{alone:.0f} ms"
    yield "the same by the tools", f"{through:.0f} ms"
    yield "a look (picture 640 x 360, elements, words)", f"{look:.0f} ms"
    yield "looks a second while turning", f"{1000 / moving:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structures", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--mode", choices=get_args(GameMode), default="creative")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--version", default="1.21.4")
    given = parser.parse_args()
    built: list[Built] = []
    print(f"| {given.mode}, {given.version} | seed | blocks | blocks a second | match | exact |")
    print("|---|---:|---:|---:|---:|---:|")
    with PracticeServer(version=given.version) as server:
        for each in build_all(server, given.mode, given.structures, given.seeds):
            built.append(each)
            report, found = each.report, each.report.verification
            rate = report.placed / report.seconds
            shares = f"{found.match_percent:.1f} % | {found.exact_percent:.1f} %"
            print(f"| {each.name} | {each.seed} | {report.placed} | {rate:.1f} | {shares} |", flush=True)
    placed = sum(each.report.placed for each in built)
    seconds = sum(each.report.seconds for each in built)
    whole = sum(each.report.complete for each in built)
    print(f"\n{whole} of {len(built)} complete, {placed / max(seconds, 0.001):.1f} blocks a second")
    if given.rounds:
        print("\n| | |\n|---|---:|")
        for name, value in measure_steps(given.rounds):
            print(f"| {name} | {value} |", flush=True)


if __name__ == "__main__":
    main()
