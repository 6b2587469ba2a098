import pytest
from mmi_gui import BrowserEnvironment, MiniWobEnvironment

from mmi_agent.testing import check_environment

pytestmark = pytest.mark.browser


def test_a_browser_keeps_the_contract(tmp_path):
    (tmp_path / "page.html").write_text("<title>Page</title><button>Press</button><p>Text")
    check_environment(lambda: BrowserEnvironment(address=(tmp_path / "page.html").as_uri()), task="press the button")


def test_miniwob_keeps_the_contract():
    check_environment(lambda: MiniWobEnvironment("login-user"))
