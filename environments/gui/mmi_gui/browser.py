"""Any web page as an environment, kept to the origins that the user allows."""

from collections.abc import Iterable

from mmi_agent.errors import ActionError, ConfigError, EnvironmentFailure
from mmi_agent.pictures import PictureStore
from mmi_agent.types import Effect, Observation, Verdict
from mmi_gui.origins import AllowList
from mmi_gui.tools import browsing_tools
from mmi_gui.web import WebEnvironment

__all__ = ["BrowserEnvironment"]

_OPEN_TIMEOUT_S = 15


class BrowserEnvironment(WebEnvironment):
    """The web, from one address on.

    Each episode begins with an empty profile at `address`. Pages reach the origins of `address` and `allow` and nothing
    else, whatever they load, follow or open. Nobody judges the episode: `verdict` is always None.

    Args:
        address: Where an episode begins; None for an empty page. "example.org" means https.
        allow: Further origins that may be reached; "https://*.example.org" for all hosts below one,
            "file:///folder/" for the files in it. A host beyond ASCII is written as browsers send it (xn--...).
        width_px: Width of the viewport in CSS pixels.
        height_px: Height of the viewport in CSS pixels.
        pixel_ratio: Pixels of the picture per CSS pixel.
        input_effect: What clicks and keys can do to the world behind the pages. "consequential" has the guard ask about
            each, "reversible" lets the agent work by itself. None is "reversible" where all origins are on this
            machine, and "consequential" on everybody else's.

    Raises:
        ConfigError: If an address is none.
    """

    name = "gui/browser"

    def __init__(
        self,
        *,
        address: str | None = None,
        allow: Iterable[str] = (),
        width_px: int = 1280,
        height_px: int = 720,
        pixel_ratio: float = 1,
        input_effect: Effect | None = None,
    ) -> None:
        self._allowed = AllowList.of([*([] if address is None else [address]), *allow])
        effect = input_effect or ("reversible" if self._allowed.is_local else "consequential")
        super().__init__(width_px=width_px, height_px=height_px, pixel_ratio=pixel_ratio, input_effect=effect)
        self._address = address if address is None or "://" in address else f"https://{address}"
        self._tools = (*self._tools, *browsing_tools(self._perform, self._act))

    def reset(self, task: str | None = None, *, seed: int = 0, pictures: PictureStore) -> Observation:
        """Opens the address in an empty profile; pages know nothing of seeds.

        Raises:
            ConfigError: If no task is given, or no address may be reached.
            EnvironmentFailure: If the address cannot be reached.
            MissingDependencyError: If there is no browser.
        """
        if not task:
            raise ConfigError("a browser needs a task: say what is to be done")
        if self._address is None and not self._allowed.origins:
            raise ConfigError("a browser may reach nothing yet: give it an address to begin at (mmi run --at ADDRESS)")
        self._instruction = task
        self._pictures = pictures
        tabs = self._open(self._allowed)
        if self._address is not None:
            try:
                self._run(tabs.goto(self._address), timeout_s=_OPEN_TIMEOUT_S)
                self._run(tabs.settle(), timeout_s=_OPEN_TIMEOUT_S)
            except (ActionError, TimeoutError) as error:
                news = "; ".join(tabs.take_news())
                raise EnvironmentFailure(f"{error or 'the page did not answer'}{news and '; '}{news}") from error
        return self.observe()

    def verdict(self) -> Verdict | None:
        """Nobody judges what is done on the web."""
        return None
