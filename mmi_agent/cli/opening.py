"""Shows a person a page that was written."""

import os
import sys
from pathlib import Path

import typer

__all__ = ["open_page"]


def open_page(page: Path) -> None:
    """Opens a page in the browser of whoever sits here; where nobody has a screen, says so in a line."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        print(f"there is no screen to open it on: look at {page} in a browser of yours", file=sys.stderr)
        return
    typer.launch(str(page.resolve()))
