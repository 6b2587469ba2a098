"""Shows what a model writes as it comes: text on stdout, and on a terminal the steps of a drawing, for a while.

Nothing breaks where whoever read it goes away, as `head` does: what is written is worth more than the show.
"""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mmi_agent.cli.errors import hush
from mmi_agent.cli.text import printable

if TYPE_CHECKING:
    from mmi_agent.inference.writing import Piece

__all__ = ["Live"]


class Live:
    """Shows one text with pictures.

    Args:
        silent: Show nothing, as where a machine reads what comes out in the end.
    """

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent
        self._console = Console(stderr=True)
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._mid_line = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_drawing()
        self.end_line()

    def show(self, piece: "Piece", place: str = "") -> None:
        """Prints a piece; of a picture, where it is."""
        if piece.picture is not None:
            size = f"{piece.picture.width_px} x {piece.picture.height_px} px"
            self.line(f"[drew a picture, {size}{f': {place}' if place else ''}]")
        elif piece.text and not self._silent:
            self._end_drawing()
            text = printable(piece.text)
            _print(text, end="")
            self._mid_line = not text.endswith("\n")

    def line(self, text: str) -> None:
        """Prints a line of its own."""
        self._end_drawing()
        self.end_line()
        if not self._silent:
            _print(printable(text))

    def note(self, text: str) -> None:
        """Tells on stderr what has to be known of what comes out."""
        self._end_drawing()
        self.end_line()
        _print(f"note: {printable(text)}", stream=sys.stderr)

    def end_line(self) -> None:
        """Ends the line that text stopped in, if it did."""
        if self._mid_line:
            _print()
        self._mid_line = False

    def drawing(self, done: int, steps: int) -> None:
        """Shows how far a drawing is; on a terminal only, and gone when it is done."""
        if self._silent or not self._console.is_terminal:
            return
        if self._progress is None:
            self.end_line()  # the bar would wipe the line that it begins in
            columns = TextColumn("drawing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._progress.start()
            self._task = self._progress.add_task("drawing", total=steps)
        self._progress.update(self._task, completed=done)

    def _end_drawing(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress = None


def _print(text: str = "", *, end: str = "\n", stream: TextIO | None = None) -> None:
    stream = stream or sys.stdout
    try:
        print(text, end=end, file=stream, flush=True)
    except BrokenPipeError:
        assert stream, "a stream that is none takes everything"
        hush(stream)
