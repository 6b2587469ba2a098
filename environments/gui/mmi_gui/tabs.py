"""The pages of one episode: which one is looked at, what they may reach, and what they did unasked.

Dialogs, downloads, pop-ups, crashes and closed tabs are dealt with at once and told as news. Knows nothing of marks.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, BrowserContext, Dialog, Download, Error, Page, Request, Route
from playwright.async_api import TimeoutError as PlaywrightTimeout

from mmi_agent.errors import ActionError
from mmi_gui.devtools import DevTools
from mmi_gui.gate import Gate
from mmi_gui.origins import AllowList, origin_of

__all__ = ["DialogAnswer", "Tabs"]

LOAD_TIMEOUT_S = 4.0
_PROBE_TIMEOUT_S = 0.7
_QUIET_TIMEOUT_S = 1.0
_LATE_NEWS_S = 0.1
_MAX_TABS = 8
_MAX_NEWS = 8
_SIGNS_OF_THE_GATE = ("ERR_ABORTED", "ERR_TUNNEL_CONNECTION_FAILED")
_TICK = """new Promise(done => {
  document.documentElement?.getBoundingClientRect();  // has the pictures asked for that the layout needs
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));  // a fade may begin at nothing
  setTimeout(done, 500);
})"""


@dataclass(frozen=True)
class DialogAnswer:
    """Accepts the next question of a page.

    Attributes:
        page: The page that it was given for.
        address: Where that page was then; another one in its place is not answered.
        text: What is answered if the question asks for a text.
    """

    page: Page
    address: str
    text: str = ""

    def holds_for(self, page: Page | None) -> bool:
        """Whether it was given for that page."""
        return page is self.page and _without_fragment(self.page.url) == _without_fragment(self.address)


class Tabs:
    """One browsing context, with nothing in it from the episodes before.

    Attributes:
        page: The page that is looked at and acted on.
        next_answer: Accepts the next question of the page that it was given for; without it, questions are dismissed.
        address: The address of the last page that could be looked at.
    """

    def __init__(self, context: BrowserContext, allowed: AllowList, gate: Gate) -> None:
        self.allowed = allowed
        self.page: Page
        self.next_answer: DialogAnswer | None = None
        self._context = context
        self._gate = gate
        self._news: list[str] = []
        self._sessions: dict[Page, DevTools] = {}
        self._loading: set[Page] = set()
        self._requests: set[Request] = set()
        self._opened_from: dict[Page, Page] = {}
        self._crashed: set[Page] = set()
        self.address = "about:blank"
        self._failure = ""

    @classmethod
    async def open(
        cls, browser: Browser, allowed: AllowList, *, width_px: int, height_px: int, pixel_ratio: float
    ) -> "Tabs":
        """Opens a context with one empty page, behind a gate of its own."""
        gate = Gate(allowed)
        await gate.open()
        context = await browser.new_context(
            viewport={"width": width_px, "height": height_px},
            device_scale_factor=pixel_ratio,
            proxy={"server": gate.address},
            service_workers="block",
            accept_downloads=False,
        )
        tabs = cls(context, allowed, gate)
        await context.route(allowed.suspects(), tabs._guard)
        tabs.page = await context.new_page()
        tabs._watch(tabs.page)
        context.on("page", tabs._on_page)
        return tabs

    async def close(self) -> None:
        """Closes the pages and the gate."""
        with contextlib.suppress(Error):
            await self._context.close()
        await self._gate.close()

    async def devtools(self) -> DevTools:
        """The protocol session of the page that is looked at."""
        if self.page not in self._sessions:
            self._sessions[self.page] = await DevTools.attach(self.page)
        return self._sessions[self.page]

    async def goto(self, address: str) -> None:
        """Opens an address in the page.

        Raises:
            ActionError: If it cannot be reached, or did not answer in time; the page may show a part of it then.
        """
        try:
            await self.page.goto(address, wait_until="domcontentloaded", timeout=LOAD_TIMEOUT_S * 1000)
        except PlaywrightTimeout as error:
            raise ActionError(f"{address} did not load within {LOAD_TIMEOUT_S:g} s") from error
        except Error as error:
            if self._gate.blocked and any(sign in error.message for sign in _SIGNS_OF_THE_GATE):
                raise ActionError(f"{address} leads to what is not allowed") from error
            reason = self._why_unreachable(address) or _first_line(error)
            raise ActionError(f"cannot open {address}: {reason}") from error

    async def go_back(self) -> str:
        """Goes back by one page and returns its address.

        Raises:
            ActionError: If there is none before this one.
        """
        session = await self.devtools()
        history = await session.send("Page.getNavigationHistory")
        before = history["entries"][: history["currentIndex"]]
        if not before or before[-1]["url"] == "about:blank":
            raise ActionError("there is no page to go back to")
        await self.page.go_back(wait_until="domcontentloaded", timeout=LOAD_TIMEOUT_S * 1000)
        return self.page.url

    def take_news(self) -> list[str]:
        """What happened since the last time, in sentences, the blocked addresses last."""
        news, self._news = self._news[:_MAX_NEWS], []
        if self._gate.blocked:
            names = list(self._gate.blocked)
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            news.append(f"blocked: {shown} is not allowed (allowed: {self.allowed})")
            self._gate.blocked.clear()
        return news

    def _why_unreachable(self, address: str) -> str:
        origin = origin_of(address)
        return self._gate.unreachable.get(f"{origin.host}:{origin.port}", "") if origin else ""

    async def settle(self) -> None:
        """Waits until what was just done has had its effect, for a few seconds at most."""
        with contextlib.suppress(Error):
            await asyncio.wait_for(self.page.evaluate(_TICK), LOAD_TIMEOUT_S)
        await self._until(self._has_no_window_to_come, _QUIET_TIMEOUT_S)
        await self._until(lambda: self.page not in self._loading, LOAD_TIMEOUT_S)
        await self._until(lambda: not self._requests, _QUIET_TIMEOUT_S)
        await self.repair()

    def _has_no_window_to_come(self) -> bool:
        asked = sum(session.windows_opened for session in self._sessions.values())
        return len(self._opened_from) >= asked

    async def _until(self, holds: Any, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        while not holds() and time.monotonic() < end:
            await asyncio.sleep(0.01)

    async def repair(self) -> None:
        """Sees to it that there is a living page, and that it shows what is allowed."""
        if self.page in self._crashed:
            self.tell("the page crashed and was opened again")
            await self._replace()
        elif self.page.is_closed():
            await self._leave_closed()
        elif self.page in self._opened_from and self.page.url == "about:blank" and self._gate.blocked:
            await self.page.close()
            await self._leave_closed()
        if not self.allowed.permits(self.page.url):
            await self._return()

    def remember(self, address: str) -> None:
        """Notes the address of a page that could be looked at: what goes wrong from here on leads back there."""
        self.address = address

    async def _leave_closed(self) -> None:
        back = self._opened_from.get(self.page)
        if back is None or back.is_closed():
            back = next((page for page in reversed(self._context.pages) if not page.is_closed()), None)
        if back is None:
            self.tell("the last tab was closed; a new one shows the page that was open")
            await self._replace()
        else:
            self.tell(f"the tab was closed; shown now: {back.url[:200]}")
            self.page = back

    async def _replace(self) -> None:
        """Goes on in a new tab at the address of the old one."""
        old, address = self.page, self.address
        self.page = await self._context.new_page()
        with contextlib.suppress(Error, TimeoutError):
            await asyncio.wait_for(old.close(), _PROBE_TIMEOUT_S)  # one that reloads for ever may not hear it
        with contextlib.suppress(Error):
            await self.page.goto(address, wait_until="domcontentloaded", timeout=_PROBE_TIMEOUT_S * 1000)

    async def _return(self) -> None:
        """Leaves an error page, and an address that is not allowed, of which the gate let nothing through."""
        if not self._gate.blocked and self._failure:
            self.tell(self._failure)
        self._failure = ""
        with contextlib.suppress(Error):
            await self.page.go_back(wait_until="domcontentloaded", timeout=LOAD_TIMEOUT_S * 1000)
        if not self.allowed.permits(self.page.url):
            with contextlib.suppress(Error):
                await self.page.goto("about:blank")

    async def mend(self) -> None:
        """Brings a page that does not answer back to life: ends its script, or else goes back to the page before."""
        with contextlib.suppress(Error, TimeoutError):
            await self._probe("Runtime.terminateExecution")
        try:
            # a page that was led away before it had painted anything may run, and never paint again
            await self._probe("Page.captureScreenshot")
            self.tell("a script of the page ran for too long and was ended")
        except (Error, TimeoutError):
            self.tell("the page did not answer and was left for the one before")
            await self._replace()

    async def _probe(self, method: str) -> None:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            await (await self.devtools()).send(method)

    def _watch(self, page: Page) -> None:
        page.on("close", self._on_close)
        page.on("crash", self._on_crash)
        page.on("dialog", self._on_dialog)
        page.on("download", self._on_download)
        page.on("filechooser", lambda _: self.tell("the page asked for a file; none was given"))
        page.on("domcontentloaded", lambda page: self._loading.discard(page))  # Playwright marks it: no builtin
        page.on("request", lambda request: self._on_request(page, request))
        page.on("requestfinished", lambda request: self._requests.discard(request))
        page.on("requestfailed", lambda request: self._on_request_failed(page, request))

    async def _on_page(self, page: Page) -> None:
        self._watch(page)
        opener = await page.opener()
        if opener is None:
            return  # one of ours
        self._opened_from[page] = opener
        if len(self._context.pages) > _MAX_TABS:
            self.tell("the page opened too many tabs; one was closed")
            await page.close()
            return
        self.tell("a new tab was opened and is shown now")
        self.page = page

    def _on_close(self, page: Page) -> None:
        self._loading.discard(page)
        self._sessions.pop(page, None)

    def _on_crash(self, page: Page) -> None:
        self._crashed.add(page)

    async def _on_dialog(self, dialog: Dialog) -> None:
        said = f"a dialog ({dialog.type}) appeared" + (f": {dialog.message[:300]!r}" if dialog.message else "")
        with contextlib.suppress(Error):
            if dialog.type == "alert":
                await dialog.accept()
            elif (answer := self.next_answer) is not None and answer.holds_for(dialog.page):
                self.next_answer = None
                said += " and was accepted"
                await dialog.accept(answer.text)
            else:
                said += " and was dismissed"
                await dialog.dismiss()
        self.tell(said)

    def _on_download(self, download: Download) -> None:
        self.tell(f"a download was stopped: {download.suggested_filename[:100]!r}")

    def _on_request(self, page: Page, request: Request) -> None:
        self._requests.add(request)
        if _loads_page(request, page):
            self._loading.add(page)

    def _on_request_failed(self, page: Page, request: Request) -> None:
        self._requests.discard(request)
        if _loads_page(request, page):
            self._failure = f"{request.url[:200]} could not be opened: {request.failure}"
            # it may have turned into a download, of which the news is still to come
            asyncio.get_running_loop().call_later(_LATE_NEWS_S, self._loading.discard, page)

    async def _guard(self, route: Route, request: Request) -> None:
        """Stops a request for what is not allowed before it leaves the page, which then stays as it is."""
        with contextlib.suppress(Error):  # the page may be gone by now
            if self.allowed.permits(request.url):
                await route.continue_()
            else:
                self._gate.blocked[str(origin_of(request.url) or request.url[:80])] += 1
                await route.abort("aborted" if request.is_navigation_request() else "blockedbyclient")

    def tell(self, news: str) -> None:
        """Adds to what `take_news` returns."""
        self._news.append(news)


def _without_fragment(address: str) -> str:
    return address.partition("#")[0]


def _first_line(error: Error) -> str:
    return error.message.splitlines()[0].partition(" at http")[0]


def _loads_page(request: Request, page: Page) -> bool:
    if not request.is_navigation_request():
        return False
    try:
        return request.frame == page.main_frame
    except Error:
        return True  # a new tab's first request, which has no frame yet
