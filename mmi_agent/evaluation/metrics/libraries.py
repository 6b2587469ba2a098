"""The libraries that some metrics come from; they are in the extra `metrics`."""

from importlib import import_module
from typing import Any

from mmi_agent.errors import MissingDependencyError
from mmi_agent.quiet_imports import quiet_imports

__all__ = ["from_library"]


def from_library(module: str, name: str) -> Any:
    """Imports one name.

    Raises:
        MissingDependencyError: If its library is missing or cannot be imported.
    """
    try:
        with quiet_imports():
            return getattr(import_module(module), name)
    except ImportError as error:
        library = module.partition(".")[0]
        raise MissingDependencyError(f"this needs {library} ({error}): pip install 'mmi-agent[metrics]'") from error
