"""What processes that were started to work for another one have in common."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import parent_process, resource_tracker
from multiprocessing.connection import wait

__all__ = ["deaf_to_ctrl_c", "die_with_parent"]


@contextmanager
def deaf_to_ctrl_c() -> Generator[None]:
    """Processes that are started in the block never hear of Ctrl-C, not even while they load."""
    resource_tracker.ensure_running()  # started by the first of them, it would let Ctrl-C in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def die_with_parent() -> None:
    """Sees to it that this process ends when the one that started it does, however that ends."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    assert parent
    wait([parent.sentinel])
    os._exit(1)
