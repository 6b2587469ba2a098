"""MiniWoB++: small web tasks that judge themselves, from the pages of the `miniwob` package.

Only instruction and verdict are taken from the page's scripts. What is seen and done goes the way of any other page.
"""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmi_agent.errors import EnvironmentFailure, MissingDependencyError, UnknownNameError
from mmi_agent.pictures import PictureStore
from mmi_agent.types import Observation, Verdict
from mmi_gui.experts import EXPERTS, HELD_OUT, ExpertPolicy, Page
from mmi_gui.eyes import Sight
from mmi_gui.origins import AllowList
from mmi_gui.web import WebEnvironment

__all__ = ["MiniWobEnvironment", "miniwob_tasks"]

_WIDTH_PX, _HEIGHT_PX = 160, 210
_START_TIMEOUT_S = 10

# the scoreboard beside the task would be found by scrolling, and a click on the cover begins another episode
_WITHOUT_SCOREBOARD = "#reward-display, #click-canvas, #sync-task-cover { display: none !important }"

_START = """async seed => {
  core.endEpisode(0);
  Math.seedrandom(seed);
  core.EPISODE_MAX_TIME = 1e9;  // the agent has a budget of steps, not of seconds
  core.startEpisodeReal();
  for (let i = 0; i < 150 && typeof WOB_TASK_READY !== 'undefined' && !WOB_TASK_READY; i++)
    await new Promise(done => setTimeout(done, 20));
  const utterance = core.getUtterance();
  return typeof utterance === 'string' ? utterance : utterance.utterance;
}"""
_JUDGE = "() => [WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL, WOB_REWARD_REASON]"


@cache
def _pages() -> Path:
    spec = find_spec("miniwob")
    if spec is None or spec.origin is None:
        raise MissingDependencyError("the MiniWoB++ pages are not installed: pip install 'mmi-agent[gui]'")
    return Path(spec.origin).parent / "html"


def miniwob_tasks() -> list[str]:
    """The names of all tasks."""
    return sorted(page.stem for page in (_pages() / "miniwob").glob("*.html"))


class MiniWobEnvironment(WebEnvironment):
    """One task of MiniWoB++, 160 x 210 CSS pixels; the same seed gives the same problem.

    The browser stays open over episodes and tasks. The clock of the pages is stopped.

    Args:
        task_id: The task, as in "click-test".
        pixel_ratio: Pixels of the picture per CSS pixel; 2 makes its small print readable.

    Raises:
        UnknownNameError: If there is no such task; offers the nearest.
        MissingDependencyError: If the package `miniwob` is missing.
    """

    demonstrated = frozenset(EXPERTS)
    held_out = HELD_OUT

    def __init__(self, task_id: str = "click-test", *, pixel_ratio: float = 2) -> None:
        super().__init__(width_px=_WIDTH_PX, height_px=_HEIGHT_PX, pixel_ratio=pixel_ratio, input_effect="reversible")
        self._verdict: Verdict | None = None
        self._loaded: str | None = None
        self.load(task_id)

    def load(self, task_id: str) -> None:
        """Changes the task, from the next `reset` on; the browser is kept."""
        if task_id not in miniwob_tasks():
            raise UnknownNameError.among("MiniWoB++ task", task_id, miniwob_tasks())
        self.name = f"gui/miniwob:{task_id}"
        self._page = _pages() / "miniwob" / f"{task_id}.html"

    def reset(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Begins the episode of that seed.

        Args:
            task: What to tell the agent instead of the page's own instruction; the page judges by its own.
            seed: Chooses the problem.
            pictures: Where the pictures go.

        Raises:
            EnvironmentFailure: If the page does not start.
        """
        self._pictures = pictures
        self._verdict = None
        if self._tabs is None or self._chromium is None or not self._chromium.browser.is_connected():
            self._start_browser()
        try:
            utterance = self._run(self._start(seed), timeout_s=_START_TIMEOUT_S)
        except (EnvironmentFailure, TimeoutError):
            self._start_browser()  # whatever the last episode made of the window: once more, in a new one
            utterance = self._run(self._start(seed), timeout_s=_START_TIMEOUT_S)
        self._instruction = task or " ".join(utterance.split())
        return self.observe()

    def verdict(self) -> Verdict | None:
        """The page's own reward, once it has ended the episode."""
        if self._verdict is None and self._tabs is not None:
            try:
                done, reward, reason = self._run(self._tabs.page.evaluate(_JUDGE), timeout_s=_START_TIMEOUT_S)
            except (EnvironmentFailure, TimeoutError):
                return None
            if done:
                said = f"the page's reward: {reward:g}" + (f" ({reason})" if reason else "")
                self._verdict = Verdict(success=reward > 0, reward=reward, reason=said)
        return self._verdict

    def expert(self) -> ExpertPolicy:
        """What solves the task that is loaded, and may look behind the page for it."""
        return ExpertPolicy(EXPERTS[self._page.stem], Page(self._ask))

    def _ask(self, expression: str) -> Any:
        if self._tabs is None:
            raise EnvironmentFailure(f"{self.name}: reset comes first")
        return self._run(self._tabs.page.evaluate(expression), timeout_s=_START_TIMEOUT_S)

    def _titles(self, sight: Sight) -> Sequence[str]:
        """Nothing: address and title would name the task, and a model could learn it by its name."""
        return ()

    def _start_browser(self) -> None:
        self._open(AllowList.of([f"{_pages().as_uri()}/"]))
        self._loaded = None

    async def _start(self, seed: int) -> str:
        assert self._tabs is not None
        page = self._tabs.page
        if self._loaded != self._page.as_uri() or page.url.partition("#")[0] != self._loaded:
            self._loaded = self._page.as_uri()
            await page.goto(self._loaded, wait_until="load")
            await page.add_style_tag(content=_WITHOUT_SCOREBOARD)
        utterance = await page.evaluate(_START, str(seed))
        await self._tabs.settle()  # its icons have no size before they came
        return utterance
