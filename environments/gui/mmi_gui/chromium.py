"""Finds Chromium, starts it, and sees to it that nothing of it is left behind."""

import asyncio
import os
import shutil
import weakref
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from playwright.async_api import Browser, Error, Playwright, async_playwright

from mmi_agent.errors import EnvironmentFailure, MissingDependencyError
from mmi_gui.background import Background

__all__ = ["Chromium", "find_chromium"]

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "microsoft-edge", "brave-browser")
_START_TIMEOUT_S = 60
_CLOSE_TIMEOUT_S = 2

_DISABLED_FEATURES = (
    "AutofillServerCommunication",  # asks a server about every form
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "PreconnectToSearch",
    "MediaRouter",
    "Translate",
    "LensOverlay",
    "AimEnabled",  # asks Google at every start whether its AI mode may be offered
    "AimServerEligibilityEnabled",
    "AimServerRequestOnStartupEnabled",
    "AimServerRequestOnIdentityChangeEnabled",
    # Chromium obeys the last list alone, so what Playwright relies on is said again
    "PaintHolding",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "ThirdPartyStoragePartitioning",
    "DestroyProfileOnBrowserClose",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "AvoidCorsURLLoaderRestartOnRedirect",
)
_FLAT = ("--disable-gpu",)  # there is none to rely on; software rendering is the same everywhere
_WITH_3D = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")  # so it is here
_FLAGS = (
    "--disable-quic",  # UDP would go around the gate
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",  # so would WebRTC
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-smooth-scrolling",  # a scroll is over when it returns
    f"--disable-features={','.join(_DISABLED_FEATURES)}",
)


def find_chromium() -> str:
    """Returns the browser to start: `$MMI_CHROMIUM`, else one on PATH, else the one that Playwright installed.

    Raises:
        MissingDependencyError: If there is none, or `$MMI_CHROMIUM` is no program.
    """
    if chosen := os.environ.get("MMI_CHROMIUM"):
        if shutil.which(chosen) is None:
            raise MissingDependencyError(f"MMI_CHROMIUM is {chosen!r}, which is no program that can be run")
        return chosen
    for name in _PROGRAMS:
        if path := shutil.which(name):
            return path
    if Path(own := _playwrights_own()).exists():
        return own
    raise MissingDependencyError(
        "no browser was found: install one (apt-get install chromium, or playwright install chromium) "
        "or name one in MMI_CHROMIUM"
    )


def _playwrights_own() -> str:
    async def ask() -> str:
        async with async_playwright() as playwright:
            return playwright.chromium.executable_path

    background = Background()
    try:
        return background.run(ask(), timeout_s=_START_TIMEOUT_S)
    finally:
        background.close()


class _Running(NamedTuple):
    playwright: Playwright
    browser: Browser


class Chromium:
    """A running browser and the background loop that talks to it.

    When this process dies, however it dies, Playwright's driver loses its pipe, ends the browser and deletes its
    profile.

    Args:
        with_3d: Whether pages can draw in three dimensions (WebGL), in software.

    Raises:
        MissingDependencyError: If Playwright or a browser is missing; says what to install.
        EnvironmentFailure: If the browser does not start.
    """

    def __init__(self, *, with_3d: bool = False) -> None:
        path = find_chromium()
        self.background = Background()
        try:
            self._running = self.background.run(_start(path, with_3d=with_3d), timeout_s=_START_TIMEOUT_S)
        except TimeoutError as error:
            self.background.close()
            raise EnvironmentFailure(f"Chromium did not start within {_START_TIMEOUT_S} s") from error
        except BaseException:
            self.background.close()
            raise
        self.close = weakref.finalize(self, _stop, self._running, self.background)

    @property
    def browser(self) -> Browser:
        """Playwright's handle; to be used on the background loop only."""
        return self._running.browser


async def _start(path: str, *, with_3d: bool) -> _Running:
    playwright = await async_playwright().start()
    try:
        browser = await playwright.chromium.launch(
            executable_path=path,
            headless=True,
            args=(*_FLAGS, *(_WITH_3D if with_3d else _FLAT)),
            chromium_sandbox=os.geteuid() != 0,  # as root it does not start with it; as anyone else it stays on
            handle_sigint=False,  # Ctrl-C is for the agent, which closes the browser when it has written its last line
            handle_sigterm=False,
            handle_sighup=False,
        )
    except Error as error:
        await playwright.stop()
        raise EnvironmentFailure(f"Chromium ({path}) did not start: {error.message.splitlines()[0]}") from error
    except BaseException:
        await playwright.stop()
        raise
    return _Running(playwright, browser)


def _stop(running: _Running, background: Background) -> None:
    async def stop() -> None:
        with suppress(Error, TimeoutError):  # it is gone already, or does not hear: the driver ends it then
            await asyncio.wait_for(running.browser.close(), _CLOSE_TIMEOUT_S)
        await running.playwright.stop()

    try:
        background.run(stop(), timeout_s=10)
    except TimeoutError:
        pass  # the driver ends the browser when its pipe closes, which happens with this process
    finally:
        background.close()
