"""MineDojo's actions in words and as vectors, both ways, over the edges of the space."""

import random
import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from malmo_server import slot
from minedojo_scenes import scene
from mmi_minecraft.minedojo import Action, call_of
from mmi_minecraft.minedojo.boundary import SimulatorProcess
from mmi_minecraft.minedojo.tables import tables
from mmi_minecraft.minedojo.tools import Plan, Scene, minedojo_tools

from mmi_agent.errors import ActionError
from mmi_agent.tool import invoke
from mmi_agent.types import Outcome

SIZES = (3, 3, 4, 25, 25, 8, 244, 36)
EDGES = list(product(range(3), range(3), range(4), (0, 12, 24), (0, 12, 24), range(8), (0, 243), (0, 35)))
POCKETS = scene(inventory=[slot(0, "log", 3), *map(slot, range(1, 35)), slot(35, "dirt", 1)], craftable=True)


def test_tables_are_minedojos(shared: SimulatorProcess) -> None:
    described = shared.request("describe", timeout_s=120).result
    assert described == tables().model_dump(mode="json") | {"python": described["python"]}
    assert tables().sizes == SIZES
    assert len(set(tables().tasks)) == 3131


def test_every_vector_is_one_action() -> None:
    chance = random.Random(0)
    drawn = [tuple(chance.randrange(size) for size in SIZES) for _ in range(5000)]
    actions = [Action.from_vector(vector) for vector in EDGES + drawn]
    assert [action.vector() for action in actions] == EDGES + drawn
    assert len(set(actions)) == len(set(EDGES + drawn))
    assert Action().vector() == tables().idle


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("value", [-1, 244])
def test_what_is_outside_of_the_space_is_refused(place: int, value: int) -> None:
    vector = list(tables().idle)
    vector[place] = value
    with pytest.raises(ActionError, match=r"is not in MineDojo's action space, MultiDiscrete\(\[3, 3, 4"):
        Action.from_vector(vector)


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ActionError, match=r"\[0, 0\] is not in MineDojo's action space"):
        Action.from_vector([0, 0])


def test_every_vector_is_a_call_that_makes_it() -> None:
    made: list[Plan] = []
    tools = {tool.name: tool for tool in minedojo_tools(lambda plan_of: _note(made, plan_of(POCKETS)))}
    used: set[str] = set()
    for vector in EDGES:
        call = call_of(vector, POCKETS)
        outcome = invoke(tools[call.name], call.arguments)
        assert outcome.status == "done", (vector, call, outcome)
        assert made[-1] == Plan(Action.from_vector(vector).meaning(), 1), (vector, call)
        used.add(call.name)
    assert used == set(tools) - {"look_at"}


def _note(made: list[Plan], plan: Plan) -> Outcome:
    made.append(plan)
    return Outcome()


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("equip", {"item": "diamond_axe"}, "there is no 'diamond axe' in the inventory, which holds dirt, log"),
        ("place", {"item": "stone"}, "there is no 'stone'"),
        ("destroy", {"slot": 7}, "slot 7 of the inventory is empty already"),
        ("look", {"turn_deg": 20}, "multiple of 15"),
        ("craft", {"item": "plankz"}, "'plankz' cannot be crafted or smelted: did you mean 'planks'?"),
        ("craft", {"item": "planks"}, "planks cannot be made now: .* can be made: nothing"),
        ("look_at", {"mark": 3}, "nothing in sight has the mark 3"),
        ("wait", {"ticks": 100_000}, "ticks: Input should be less than or equal to 200"),
    ],
)
def test_what_cannot_be_done_is_said_and_not_sent(tool: str, arguments: dict[str, Any], told: str) -> None:
    poor = scene(inventory=[slot(0, "log", 3), slot(1, "dirt", 1), *map(slot, range(2, 36))], craftable=False)

    def perform(plan_of: Callable[[Scene], Plan]) -> Outcome:
        plan_of(poor)
        raise AssertionError("it was sent")

    tools = {each.name: each for each in minedojo_tools(perform)}
    outcome = invoke(tools[tool], arguments)
    assert outcome.status == "failed"
    assert re.search(told, outcome.text), outcome.text


def test_an_item_is_named_with_or_without_underscores() -> None:
    owner = scene(inventory=[slot(0), slot(1, "diamond axe", 1), *map(slot, range(2, 36))], craftable=False)
    assert owner.slot_of("diamond_axe") == owner.slot_of("diamond axe") == 1
