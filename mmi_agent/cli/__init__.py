"""The command line: each command parses, builds a config, calls one library function, and prints."""

from mmi_agent.cli.app import main

__all__ = ["main"]
