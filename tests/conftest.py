"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """Lets Ctrl-C through: a suite begun in the background ignores it, and so would all that a test starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
