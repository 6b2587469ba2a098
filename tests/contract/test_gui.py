import pytest
from mmi_gui import BrowserEnvironment, MiniWobEnvironment
from mmi_gui.chromium import find_chromium

from mmi_agent.errors import MissingDependencyError
from mmi_agent.testing import check_environment

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _chromium() -> None:
    try:
        find_chromium()
    except MissingDependencyError as error:
        pytest.skip(str(error))


def test_a_browser_keeps_the_contract(tmp_path):
    (tmp_path / "page.html").write_text("<title>Page</title><button>Press</button><p>Text")
    check_environment(lambda: BrowserEnvironment(address=(tmp_path / "page.html").as_uri()), task="press the button")


def test_miniwob_keeps_the_contract():
    check_environment(lambda: MiniWobEnvironment("login-user"))
