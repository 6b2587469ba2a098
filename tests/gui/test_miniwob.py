import random
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from mmi_gui import MiniWobEnvironment, miniwob_tasks
from PIL import Image

from mmi_agent.errors import UnknownNameError
from mmi_agent.inference.policy import load_policy
from mmi_agent.pictures import MemoryPictures
from mmi_agent.policy import Context
from mmi_agent.tool import FINISH, invoke
from mmi_agent.types import ToolCall

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def world(chromium: str) -> Iterator[MiniWobEnvironment]:
    with MiniWobEnvironment() as environment:
        yield environment


def call(world: MiniWobEnvironment, tool: str, **arguments: object) -> str:
    return invoke({t.name: t for t in world.tools}[tool], arguments).text  # type: ignore[arg-type]


@pytest.mark.slow
def test_every_task_can_be_begun_and_seen(world: MiniWobEnvironment):
    pictures = MemoryPictures()
    assert len(miniwob_tasks()) >= 128
    for task in miniwob_tasks():
        world.load(task)
        seen = world.reset(seed=1, pictures=pictures)
        assert world.name == f"gui/miniwob:{task}"
        assert world.instruction, task
        assert seen.elements, task
        assert "reward" not in seen.model_dump_json().lower(), task
        assert world.verdict() is None, task


def test_a_seed_is_an_episode_whatever_went_before(world: MiniWobEnvironment):
    pictures = MemoryPictures()
    episodes: list[object] = []
    order = [("click-test-2", 5), ("use-slider", 9), ("use-slider", 8), ("click-test-2", 5), ("use-slider", 9)]
    for task, seed in order:
        world.load(task)
        seen = world.reset(seed=seed, pictures=pictures)
        episodes.append((world.instruction, seen))
        call(world, "click", mark=random.Random(seed).randint(1, len(seen.elements)))
    assert episodes[0] == episodes[3]
    assert episodes[1] == episodes[4]
    assert episodes[1] != episodes[2]


def test_the_page_judges_what_was_done(world: MiniWobEnvironment):
    pictures = MemoryPictures()
    world.load("click-test-2")
    for right in (True, False):
        seen = world.reset(seed=3, pictures=pictures)
        buttons = [e for e in seen.elements if e.role == "button"]
        chosen = next(e for e in buttons if (e.name in world.instruction) is right)
        call(world, "click", mark=chosen.mark)
        call(world, "click_at", x=500, y=500, count=3)  # nothing that is done afterwards begins another episode
        verdict = world.verdict()
        assert verdict is not None
        assert (verdict.success, verdict.reward) == ((True, 1.0) if right else (False, -1.0))
        assert world.verdict() == verdict


def test_a_form_is_filled_in_and_sent(world: MiniWobEnvironment):
    world.load("login-user")
    seen = world.reset(seed=2, pictures=MemoryPictures())
    _, user, _, password, _ = world.instruction.split('"')
    fields = [e.mark for e in seen.elements if e.role == "textbox"]
    for mark, text in zip(fields, (user, password), strict=True):
        call(world, "type_text", mark=mark, text=text)
    call(world, "click", mark=next(e.mark for e in world.observe().elements if e.name == "Login"))
    assert world.verdict()


def test_the_picture_shows_the_task_alone_and_finely(world: MiniWobEnvironment):
    pictures = MemoryPictures()
    world.load("click-button")
    seen = world.reset(seed=3, pictures=pictures)
    assert (seen.pictures[0].width_px, seen.pictures[0].height_px) == (320, 420)
    before = Image.open(BytesIO(pictures.get(seen.pictures[0].digest)))
    assert before.convert("RGB").getpixel((310, 5)) == (255, 255, 0), "the yellow of the instruction reaches the edge"
    assert "nothing scrolled" in call(world, "scroll", direction="right"), "the scoreboard is not there"


def test_a_page_that_was_left_is_begun_anew(world: MiniWobEnvironment):
    pictures = MemoryPictures()
    world.load("click-test")
    world.reset(seed=1, pictures=pictures)
    assert world._tabs is not None
    world._run(world._tabs.page.goto("about:blank"), timeout_s=5)
    assert world.verdict() is None
    assert world.reset(seed=1, pictures=pictures).elements
    world._run(world._tabs.page.close(), timeout_s=5)
    assert world.reset(seed=1, pictures=pictures).elements


def test_an_unknown_task_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'click-button'"):
        MiniWobEnvironment("click-buton")


def test_the_example_of_the_readme_runs(chromium: str, capsys: pytest.CaptureFixture[str]):
    readme = Path(__file__).parents[2] / "environments" / "gui" / "README.md"
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    exec(blocks[0], {})
    assert "success=True" in capsys.readouterr().out


@pytest.mark.weights
def test_a_link_that_is_not_there_is_looked_for_elsewhere(world: MiniWobEnvironment):
    """The model's first thought is to click it, and the nearest that could be clicked is another."""
    pictures = MemoryPictures()
    world.load("click-tab-2")
    screen = world.reset(seed=1, pictures=pictures)
    context = Context(
        instruction=world.instruction, observation=screen, tools=(*world.tools, FINISH), pictures=pictures
    )
    *_, call = load_policy("small").decide(context)
    assert isinstance(call, ToolCall)
    pressed = next(e for e in screen.elements if e.mark == call.arguments["mark"])
    assert (call.name, pressed.role, "selected" in pressed.states) == ("click", "tab", False)
