"""What processes that were started to work for another one have in common."""

import os
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait

__all__ = ["die_with_parent"]


def die_with_parent() -> None:
    """Sees to it that this process ends when the one that started it does, however that ends."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    assert parent
    wait([parent.sentinel])
    os._exit(1)
