from pathlib import Path

import pytest
import typer
from cli_answers import Mmi

PLAN = ("minecraft", "plan", "oak fence 5 by 5", "--preview", "fence.html", "--open")


@pytest.mark.skipif("sys.platform != 'linux'")
def test_a_page_is_opened_where_there_is_a_screen_and_named_where_there_is_none(
    mmi: Mmi, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(typer, "launch", opened.append)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    code, _, err = mmi(*PLAN)
    assert (code, opened) == (0, [])
    assert "there is no screen to open it on: look at fence.html in a browser of yours" in err
    monkeypatch.setenv("DISPLAY", ":0")
    assert mmi(*PLAN).code == 0
    assert opened == [str(Path("fence.html").resolve())]
