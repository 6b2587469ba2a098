from collections.abc import Iterator
from pathlib import Path

import pytest
from malmo_server import MalmoServer, StillWorld
from malmo_world import LiveWorld
from mmi_minecraft.minedojo import minedojo_python
from mmi_minecraft.minedojo.boundary import SimulatorProcess


@pytest.fixture(scope="session")
def python() -> Path:
    """MineDojo's own Python; made by the first test on a machine, in about a minute."""
    return minedojo_python(print)


@pytest.fixture(scope="session")
def shared(python: Path) -> Iterator[SimulatorProcess]:
    """One MineDojo process, for tests that do not end it and need no game."""
    simulator = SimulatorProcess(python)
    yield simulator
    simulator.close()


@pytest.fixture(scope="module")
def malmo() -> Iterator[MalmoServer]:
    server = MalmoServer(StillWorld())
    yield server
    server.close()


@pytest.fixture
def still(malmo: MalmoServer) -> StillWorld:
    """A game in which nothing happens, but for what a test says; behind `malmo`."""
    world = malmo.world = StillWorld()
    return world


@pytest.fixture(scope="module")
def live() -> Iterator[LiveWorld]:
    world = LiveWorld()
    yield world
    world.close()
