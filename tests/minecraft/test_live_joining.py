"""Why a game cannot be joined, or is over: each in one line that says what to do."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest
from live import eventually
from mmi_minecraft.server import Player, PracticeServer
from mmi_minecraft.server.node import bridge_packages, find_node

from mmi_agent.errors import ConfigError, EnvironmentFailure, MissingDependencyError


@pytest.fixture(scope="module")
def player(node: str, serve: Callable[..., PracticeServer]) -> Iterator[Player]:
    """Somebody who is in no game; a refused one can try the next server."""
    made = Player()
    yield made
    made.close()


def join(player: Player, server: PracticeServer, username: str = "stranger", version: str | None = None) -> str:
    return player.join(server.host, server.port, username, version=version, timeout_s=30)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_no_server(player: Player) -> None:
    with pytest.raises(EnvironmentFailure, match=r"no Minecraft server answers at 127\.0\.0\.1:\d+ \(nothing listens"):
        player.join("127.0.0.1", free_port(), "stranger", version=None, timeout_s=5)


def test_something_else_than_a_server(player: Player) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began = time.monotonic()
        with pytest.raises(EnvironmentFailure, match="no Minecraft server answers"):
            player.join("127.0.0.1", mute.getsockname()[1], "stranger", version=None, timeout_s=2)
        assert time.monotonic() - began < 30


def test_another_version(player: Player, serve: Callable[..., PracticeServer]) -> None:
    with pytest.raises(ConfigError, match=r"is of version 1\.16\.\d, not 1\.21\.4"):
        join(player, serve("1.16.4"), version="1.21.4")


def test_a_whitelist(player: Player, serve: Callable[..., PracticeServer]) -> None:
    with pytest.raises(EnvironmentFailure, match="its whitelist does not have stranger; its owner adds a player with"):
        join(player, serve("1.16.4", whitelist=["mmi"]))


def test_online_mode(player: Player, serve: Callable[..., PracticeServer]) -> None:
    with pytest.raises(EnvironmentFailure, match="it runs in online mode, which wants an account of Microsoft"):
        join(player, serve("1.16.4", online_mode=True))


def test_kicked_and_back_again(player: Player, serve: Callable[..., PracticeServer]) -> None:
    server = serve("1.16.4")
    join(player, server)
    page = f"http://127.0.0.1:{player.view(port=0, distance=1)}/"
    server.kick("stranger", "no robots here")
    with pytest.raises(EnvironmentFailure, match="stranger is no longer in the game: it said: no robots here"):
        eventually(lambda: player.state().username != "stranger")  # never, but it asks until the game is lost
    assert join(player, server).startswith("1.16")
    with pytest.raises(URLError):
        urlopen(page, timeout=10)
    assert urlopen(f"http://127.0.0.1:{player.view(port=0, distance=1)}/", timeout=10).status == 200


def test_a_bridge_that_dies_in_the_middle_of_a_line_is_gone_at_once(
    node: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(
        tmp_path, "node", """if [ "$1" = --version ]; then echo v22.1.0; else read line; printf '{"id": 1, "res'; fi"""
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(EnvironmentFailure, match="the Minecraft bridge has ended"):
        Player().state()
    assert time.monotonic() - began < 20


def test_a_port_in_use(serve: Callable[..., PracticeServer]) -> None:
    with pytest.raises(ConfigError, match=r"port \d+ is in use by another program"):
        PracticeServer(port=serve("1.16.4").port)


@pytest.mark.parametrize("version", ["1.99", "1.8.8"])
def test_a_version_of_which_there_is_no_server(node: str, version: str) -> None:
    with pytest.raises(ConfigError, match=f"no server of Minecraft {version} can be started here: expected 1.16.4 to"):
        PracticeServer(version=version)


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_without_node_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"needs Node\.js, which is not on PATH: install Node\.js 20"):
        Player()
    script(tmp_path, "node", "echo v14.21.3")
    with pytest.raises(MissingDependencyError, match=r"v14\.21\.3, which is too old: install Node\.js 20"):
        find_node()
    script(tmp_path, "node", "echo v22.1.0")
    assert find_node() == str(tmp_path / "node")


def test_packages_are_fetched_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("MMI_CACHE", str(cache))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="needs npm, which is not on PATH"):
        bridge_packages()
    script(tmp_path, "npm", "echo 'npm error code ENOTFOUND' >&2; exit 1")
    said: list[str] = []
    with pytest.raises(MissingDependencyError, match=r"npm could not fetch the packages .*: code ENOTFOUND"):
        bridge_packages(said.append)
    assert said and "1 GB, once" in said[0]
    assert list(cache.iterdir()) == []
    script(tmp_path, "npm", "/bin/mkdir node_modules")
    folder = bridge_packages()
    assert sorted(path.name for path in folder.iterdir()) == ["node_modules", "package-lock.json", "package.json"]
    script(tmp_path, "npm", "exit 1")
    assert bridge_packages() == folder


PROGRAM = """
import sys, time
from mmi_minecraft.server import Player, PracticeServer
server = PracticeServer(version="1.16.4")
player = Player()
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_no_process_stays_behind(node: str, ending: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout and process.stdout.readline() == b"ready\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert len([child for child in children if "node" in child.name()]) == 2
    os.kill(process.pid, ending)
    process.wait(timeout=20)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
