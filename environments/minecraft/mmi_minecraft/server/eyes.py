"""What a player sees, as pictures: the viewer's page in a browser without a window.

The page comes from this machine and reaches nothing else. Pictures show blocks and bodies; no hand, no sky but its
colour, and of the signs no text.
"""

import base64
from functools import cache
from importlib.resources import files

from mmi_gui.chromium import Chromium
from playwright.async_api import Error, Page, Route

from mmi_agent.errors import EnvironmentFailure

__all__ = ["FIELD_OF_VIEW_DEG", "Eyes"]

FIELD_OF_VIEW_DEG = 75
"""Of the pictures, from top to bottom."""

_OPEN_TIMEOUT_S = 30
_FIRST_PATIENCE_S = 90  # the viewer reads 60 MB of its own first
_PATIENCE_S = 20
_GRACE_S = 10


class Eyes:
    """A browser that shows the viewer's page.

    Args:
        port: Where the viewer listens on this machine.
        width_px: Of the pictures.
        height_px: Of the pictures.

    Raises:
        MissingDependencyError: If there is no browser.
        EnvironmentFailure: If the page does not open, or shows nothing.
    """

    def __init__(self, port: int, *, width_px: int, height_px: int) -> None:
        self._chromium = Chromium(with_3d=True)
        self._origin = f"http://127.0.0.1:{port}/"
        try:
            self._page = self._chromium.background.run(self._open(width_px, height_px), timeout_s=_OPEN_TIMEOUT_S)
            _, complete = self._look(_FIRST_PATIENCE_S)
        except (Error, TimeoutError) as error:
            self.close()
            raise EnvironmentFailure(f"the page of the viewer does not open: {_reason(error)}") from error
        except BaseException:
            self.close()
            raise
        if not complete:
            self.close()
            raise EnvironmentFailure(f"the page of the viewer showed nothing within {_FIRST_PATIENCE_S} s")

    def close(self) -> None:
        """Ends the browser; a second call does nothing."""
        self._chromium.close()

    def look(self) -> bytes:
        """A picture, as PNG, of all that the page was sent.

        Raises:
            EnvironmentFailure: If the browser is gone, or does not answer.
        """
        return self._look(_PATIENCE_S)[0]

    def _look(self, patience_s: float) -> tuple[bytes, bool]:
        """A picture, and whether it shows all that the page was sent."""
        work = self._page.evaluate("patience => look(patience)", patience_s * 1000)
        try:
            seen = self._chromium.background.run(work, timeout_s=patience_s + _GRACE_S)
        except (Error, TimeoutError) as error:
            raise EnvironmentFailure(f"the page of the viewer cannot be looked at: {_reason(error)}") from error
        return base64.b64decode(seen["picture"].partition(",")[2]), seen["complete"]

    async def _open(self, width_px: int, height_px: int) -> Page:
        context = await self._chromium.browser.new_context(viewport={"width": width_px, "height": height_px})
        await context.add_init_script(_script())
        await context.route("**/*", self._keep_home)
        page = await context.new_page()
        await page.goto(self._origin)
        return page

    async def _keep_home(self, route: Route) -> None:
        await (route.continue_() if route.request.url.startswith(self._origin) else route.abort())


@cache
def _script() -> str:
    return (files("mmi_minecraft.server") / "eyes.js").read_text()


def _reason(error: Exception) -> str:
    return error.message.splitlines()[0] if isinstance(error, Error) else "it does not answer in time"
