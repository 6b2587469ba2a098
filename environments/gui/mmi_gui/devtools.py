"""Chromium's own protocol, for what Playwright has no words for."""

from typing import Any, cast

from playwright.async_api import CDPSession, Page

__all__ = ["DevTools"]


class DevTools:
    """A protocol session with one page, its frames included.

    Attributes:
        windows_opened: How many windows the page has asked for; each takes a while to come.
    """

    def __init__(self, session: CDPSession) -> None:
        self.windows_opened = 0
        self._session = session
        session.on("Page.windowOpen", self._on_window_open)

    @classmethod
    async def attach(cls, page: Page) -> "DevTools":
        """Opens a session with a page."""
        tools = cls(await page.context.new_cdp_session(page))
        await tools.send("Page.enable")
        await tools.send("DOM.enable")
        await tools.send("Accessibility.enable")
        return tools

    def _on_window_open(self, _: object) -> None:
        self.windows_opened += 1

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol and returns its answer.

        Raises:
            playwright.async_api.Error: If Chromium refuses, or the page is gone.
        """
        # Playwright's own type says "dict" and no more
        return await cast("Any", self._session).send(method, parameters)
