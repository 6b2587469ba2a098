"""However the process ends, no browser and no profile stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from mmi_gui import BrowserEnvironment
from mmi_gui.chromium import find_chromium

from mmi_agent.errors import MissingDependencyError
from mmi_agent.pictures import MemoryPictures

pytestmark = pytest.mark.browser

PROGRAM = """
import sys, time
from mmi_gui import MiniWobEnvironment
from mmi_agent.pictures import MemoryPictures
environment = MiniWobEnvironment("click-test")
environment.reset(pictures=MemoryPictures())
print("ready", flush=True)
if "stay" in sys.argv:
    while True:
        environment.observe()
"""


def begin(temporary: Path, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def left_behind(temporary: Path) -> list[str]:
    """Profiles, and processes that were started with one."""
    processes = [p for p in psutil.process_iter(["cmdline"]) if str(temporary) in " ".join(p.info["cmdline"] or ())]
    return [*map(str, processes), *map(str, temporary.glob("playwright*"))]


@pytest.mark.parametrize("ending", ["of itself", signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_behind(ending: str | signal.Signals, tmp_path: Path, chromium: str):
    process = begin(tmp_path, *([] if isinstance(ending, str) else ["stay"]))
    if isinstance(ending, signal.Signals):
        assert left_behind(tmp_path), "the test sees what it looks for"
        os.killpg(process.pid, ending) if ending == signal.SIGINT else process.send_signal(ending)
    process.communicate(timeout=20)
    end = time.monotonic() + 10
    while (left := left_behind(tmp_path)) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == []


def test_without_a_browser_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="apt-get install chromium"):
        find_chromium()
    monkeypatch.setenv("MMI_CHROMIUM", "/nowhere/chrome")
    with pytest.raises(MissingDependencyError, match="'/nowhere/chrome'"):
        find_chromium()


def test_a_browser_that_froze_is_replaced_by_a_new_one(tmp_path: Path, chromium: str):
    page = tmp_path / "page.html"
    page.write_text("<button>Hello</button>")
    others = {child.pid for child in psutil.Process().children(recursive=True)}
    with BrowserEnvironment(address=page.as_uri()) as environment:
        environment.reset("press it", pictures=MemoryPictures())
        children = psutil.Process().children(recursive=True)
        frozen = [child for child in children if child.pid not in others and "chrom" in child.name()]
        for process in frozen:
            process.suspend()
        seen = environment.observe()
        assert [element.name for element in seen.elements] == ["Hello"]
        assert "replaced by a new one" in seen.text
    psutil.wait_procs(frozen, timeout=5)
    assert not [process for process in frozen if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
