"""What the environments of web pages have in common: one browser, eyes and hands, and a time limit on everything."""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from playwright.async_api import Error

from mmi_agent.errors import ActionError, ConfigError, EnvironmentFailure
from mmi_agent.pictures import PictureStore
from mmi_agent.tool import Tool
from mmi_agent.types import Effect, Observation, Outcome
from mmi_gui.chromium import Chromium
from mmi_gui.eyes import Sight, glimpse, look
from mmi_gui.hands import Hands
from mmi_gui.origins import AllowList
from mmi_gui.tabs import Tabs
from mmi_gui.tools import input_tools
from mmi_gui.transform import Transform

__all__ = ["WebEnvironment"]

_ACT_TIMEOUT_S = 5.5
_SETTLE_TIMEOUT_S = 5.0
_LOOK_TIMEOUT_S = 4.0
_GLIMPSE_TIMEOUT_S = 4.0
_MEND_TIMEOUT_S = 4.0
_OPEN_TIMEOUT_S = 20.0
_LOOKS = 3

Result = TypeVar("Result")


class WebEnvironment:
    """A browser window with nothing to do; `BrowserEnvironment` and `MiniWobEnvironment` give it something.

    Args:
        width_px: Width of the viewport in CSS pixels.
        height_px: Height of the viewport in CSS pixels.
        pixel_ratio: Pixels of the picture per CSS pixel.
        input_effect: What clicks and keys can do to the world: "consequential" has the guard ask about each.
    """

    name = "gui/web"

    def __init__(self, *, width_px: int, height_px: int, pixel_ratio: float, input_effect: Effect) -> None:
        if not (1 <= width_px <= 8192 and 1 <= height_px <= 8192):
            raise ConfigError(f"a window has 1 to 8192 px a side, not {width_px} x {height_px}")
        self._view = Transform(width_px=width_px, height_px=height_px, pixel_ratio=pixel_ratio)
        self._tools: tuple[Tool, ...] = input_tools(self._perform, self._act, input_effect)
        self._instruction = ""
        self._chromium: Chromium | None = None
        self._tabs: Tabs | None = None
        self._hands: Hands | None = None
        self._pictures: PictureStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def tools(self) -> Sequence[Tool]:
        """What can be done with the page."""
        return self._tools

    @property
    def instruction(self) -> str:
        """What is to be done in this episode."""
        return self._instruction

    def observe(self) -> Observation:
        """Takes a picture of the page and marks what is in it.

        Raises:
            EnvironmentFailure: If the browser is gone, or there was no `reset` yet.
        """
        try:
            sight, news = self._run(self._look(), timeout_s=_LOOK_TIMEOUT_S)
        except TimeoutError:
            sight, news = self._look_again()
        assert self._pictures is not None
        lines = [*self._titles(sight), sight.remark, *news]
        return Observation(
            pictures=(self._pictures.put(sight.png),),
            text="\n".join(filter(None, lines)),
            elements=sight.elements,
        )

    def close(self) -> None:
        """Ends the browser; a second call does nothing."""
        chromium, self._chromium = self._chromium, None
        self._tabs = self._hands = None
        if chromium is not None:
            chromium.close()

    def _titles(self, sight: Sight) -> Sequence[str]:
        """Which page it is, in words."""
        return f"Address: {sight.address[:300]}", f"Title: {sight.title[:300]}"

    def _open(self, allowed: AllowList) -> Tabs:
        """Starts the browser if it does not run, and gives it an empty window in place of the one before."""
        if self._chromium is None or not self._chromium.browser.is_connected():
            self.close()
            self._chromium = Chromium()
        self._tabs = self._run(self._new_tabs(self._chromium, allowed), timeout_s=_OPEN_TIMEOUT_S)
        self._hands = Hands(self._tabs, self._view)
        return self._tabs

    async def _new_tabs(self, chromium: Chromium, allowed: AllowList) -> Tabs:
        if self._tabs is not None:
            await self._tabs.close()
        return await Tabs.open(
            chromium.browser,
            allowed,
            width_px=round(self._view.width_px),
            height_px=round(self._view.height_px),
            pixel_ratio=self._view.pixel_ratio,
        )

    def _run(self, work: Coroutine[Any, Any, Result], *, timeout_s: float) -> Result:
        """Waits for the browser.

        Raises:
            TimeoutError: If it takes too long.
            EnvironmentFailure: If the browser is gone.
        """
        if self._chromium is None:
            work.close()
            raise EnvironmentFailure(f"{self.name} has no browser: reset comes first, and nothing comes after close")
        try:
            return self._chromium.background.run(work, timeout_s=timeout_s)
        except Error as error:
            if not self._chromium.browser.is_connected():
                raise EnvironmentFailure(f"{self.name}: Chromium has ended") from error
            raise EnvironmentFailure(f"{self.name}: {error.message.splitlines()[0]}") from error

    def _perform(self, deed: Callable[[Hands], Coroutine[Any, Any, str]]) -> Outcome:
        """Acts, waits for the effect, and tells both what was done and what else happened."""
        if self._hands is None or self._tabs is None:
            raise EnvironmentFailure(f"{self.name}: reset comes first")
        try:
            outcome = self._run(_attempt(deed(self._hands)), timeout_s=_ACT_TIMEOUT_S)
            self._run(self._tabs.settle(), timeout_s=_SETTLE_TIMEOUT_S)
        except TimeoutError:
            outcome = Outcome(status="failed", text="the page did not answer in time")
            self._mend()
        news = self._tabs.take_news()
        return outcome.model_copy(update={"text": "; ".join(filter(None, (outcome.text, *news)))})

    def _act(self, deed: Callable[[Hands], Coroutine[Any, Any, str]]) -> Outcome:
        """Performs what ends the wait for a dialog: an answer is for the next input or navigation and no later one."""
        try:
            return self._perform(deed)
        finally:
            if self._tabs is not None:
                self._tabs.next_answer = None

    def _mend(self) -> None:
        assert self._tabs is not None
        try:
            self._run(self._tabs.mend(), timeout_s=_MEND_TIMEOUT_S)
        except TimeoutError:
            self._begin_anew(self._tabs)

    def _begin_anew(self, lost: Tabs) -> None:
        """Ends a browser that does not answer, and opens the page before in a new one; what it stored is lost."""
        self.close()
        tabs = self._open(lost.allowed)
        tabs.tell("the browser did not answer and was replaced by a new one, which has forgotten everything")
        with suppress(ActionError, TimeoutError):
            self._run(tabs.goto(lost.address), timeout_s=_ACT_TIMEOUT_S)

    async def _look(self) -> tuple[Sight, list[str]]:
        assert self._tabs is not None
        assert self._hands is not None
        for left in reversed(range(_LOOKS)):
            await self._tabs.repair()
            try:
                sight = await look(await self._tabs.devtools(), self._view)
            except Error:
                if not left:
                    raise
                await self._tabs.settle()  # the page was left while it was looked at
                continue
            self._hands.sight = sight
            self._tabs.remember(sight.address)
            return sight, self._tabs.take_news()
        raise AssertionError("the last look returns or raises")

    def _look_again(self) -> tuple[Sight, list[str]]:
        self._mend()
        try:
            return self._run(self._look(), timeout_s=_LOOK_TIMEOUT_S)
        except TimeoutError:
            pass
        try:
            return self._run(self._glimpse(), timeout_s=_GLIMPSE_TIMEOUT_S)
        except TimeoutError as error:
            raise EnvironmentFailure(f"{self.name}: the page cannot be looked at") from error

    async def _glimpse(self) -> tuple[Sight, list[str]]:
        assert self._tabs is not None
        assert self._hands is not None
        sight = await glimpse(await self._tabs.devtools(), self._view, self._tabs.page.url)
        self._hands.sight = sight
        return sight, self._tabs.take_news()


async def _attempt(deed: Coroutine[Any, Any, str]) -> Outcome:
    try:
        return Outcome(text=await deed)
    except ActionError as error:
        return Outcome(status="failed", text=str(error))
    except Error as error:
        return Outcome(status="failed", text=error.message.splitlines()[0])
