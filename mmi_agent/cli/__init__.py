"""The command line: each command parses, builds a config, calls one library function, and prints."""

import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Runs `mmi` with the process's arguments, and exits."""
    try:
        from mmi_agent.cli.app import app
    except KeyboardInterrupt:  # Ctrl-C while it loads
        sys.exit(_INTERRUPTED)
    app(prog_name="mmi")
