"""Ending long work gently: the first Ctrl-C asks, the second ends at once."""

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["stopping_gently"]


@contextmanager
def stopping_gently(stop: Callable[[], None]) -> Generator[None]:
    """Lets the first Ctrl-C, or a polite end, finish the step and write a checkpoint; the second ends at once.

    Args:
        stop: Asks the work to end after its step.
    """

    def ask(number: int, _frame: object) -> None:
        print("finishing this step, then writing a checkpoint", file=sys.stderr, flush=True)
        stop()
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
