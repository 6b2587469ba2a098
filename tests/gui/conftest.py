from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loopback import Browsing, Site
from mmi_gui import BrowserEnvironment
from mmi_gui.chromium import Chromium, find_chromium


@pytest.fixture(scope="session")
def chromium() -> str:
    return find_chromium()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture
def elsewhere() -> Iterator[Site]:
    """A site that nobody allowed."""
    made = Site()
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared(chromium: str) -> Iterator[Chromium]:
    """One browser for all tests that do not end it: each reset has an empty profile in it."""
    running = Chromium()
    yield running
    running.close()


@pytest.fixture
def browse(shared: Chromium) -> Iterator[Callable[..., Browsing]]:
    """Opens a page of a site, allowing its origin and what else is named."""
    opened: list[BrowserEnvironment] = []

    def open_page(site: Site, page: str, *, path: str = "/", **options: Any) -> Browsing:
        site.pages.setdefault(path, page)
        environment = BrowserEnvironment(address=site.origin + path, **options)
        environment._chromium = shared
        opened.append(environment)
        return Browsing(environment)

    yield open_page
    for environment in opened:
        assert environment._tabs is not None
        shared.background.run(environment._tabs.close(), timeout_s=10)
