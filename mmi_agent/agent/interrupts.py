"""Ctrl-C and deadlines: where a run may be broken into, and where it may not.

Both work through signals and therefore only in the main thread; elsewhere they do nothing.
"""

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupts", "time_limit"]


class Interrupts:
    """Lets Ctrl-C in only where the run waits for somebody else: observe, decide, approve, act.

    Everywhere else (while a line is written, while the run ends) it is remembered until the next such place, so that
    a second Ctrl-C cannot tear what the first one set off. A handler that the program set itself is left alone.
    """

    def __init__(self) -> None:
        self._open = False
        self._pending = False

    @contextmanager
    def handled(self) -> Generator[None]:
        """Takes Ctrl-C over for the length of a run."""
        if not _in_main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, self._receive)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def let_in(self) -> Generator[None]:
        """Raises KeyboardInterrupt inside, also for a Ctrl-C that came before."""
        self._open = True
        try:
            if self._pending:
                raise KeyboardInterrupt
            yield
        finally:
            self._open = False

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self._pending = True
        if self._open:
            raise KeyboardInterrupt


@contextmanager
def time_limit(seconds: float | None) -> Generator[None]:
    """Raises TimeoutError inside once the time is up.

    Args:
        seconds: How long the body may take; None for no limit.
    """
    if seconds is None or not _in_main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"did not return within {seconds:g} s")

    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    outer_s, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        _rearm(outer_s, began)


def _rearm(outer_s: float, began: float) -> None:
    """Lets go on a timer that ran before this one, as pytest's does."""
    if outer_s:
        signal.setitimer(signal.ITIMER_REAL, max(0.001, outer_s - (time.monotonic() - began)))


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
