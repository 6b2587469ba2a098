"""Imports of large libraries, which warn of every optional part that they were built with and do not find."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["quiet_imports"]


@contextmanager
def quiet_imports() -> Generator[None]:
    """Keeps warnings out of the log inside; errors are still raised and logged."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
