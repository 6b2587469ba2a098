"""Every exception that the library raises on purpose.

MMIError
  ConfigError(ValueError)             an option, a preset or a file that the user gave is wrong
  ShapeError(ValueError)              a tensor or picture of the wrong shape
  UnknownNameError(LookupError)       no environment, task, tool or preset of that name; offers the nearest
  MissingDependencyError(ImportError) an extra, a program or a browser is not installed; says the command
  CheckpointError                     weights that are missing, damaged or of another model
  DataError                           training data of which nothing can be used, or other data than before
  DeviceMemoryError                   the memory of a device is used up; says what to lower
  TrajectoryError                     a run folder that is truncated, edited or not writable
  AgentError                          one kind per boundary crossed, so a trace says where it broke
    PolicyError                       the policy failed to decide
    ToolError                         a tool failed
    EnvironmentFailure                the world behind the environment is gone
    MemoryStoreError                  a memory folder that is damaged, newer, not writable, or of other vectors
    ActionError                       the model can mend it: goes back to it as an outcome
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "ActionError",
    "AgentError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DeviceMemoryError",
    "EnvironmentFailure",
    "MMIError",
    "MemoryStoreError",
    "MissingDependencyError",
    "PolicyError",
    "ShapeError",
    "ToolError",
    "TrajectoryError",
    "UnknownNameError",
]


class MMIError(Exception):
    """The root: the command line prints these as one line."""


class ConfigError(MMIError, ValueError):
    """What the user gave is wrong."""


class ShapeError(MMIError, ValueError):
    """A tensor or a picture has the wrong shape."""


class UnknownNameError(MMIError, LookupError):
    """Nothing is registered under that name."""

    @classmethod
    def among(cls, what: str, name: str, known: Iterable[str]) -> "UnknownNameError":
        """Builds the error that names what was asked for and offers the nearest known names.

        Args:
            what: The kind of thing, as in "environment".
            name: The name that was not found.
            known: Every name that would have been found.
        """
        names = sorted(known)
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        known_ones = f"known: {', '.join(names[:12])}" if names else "none is installed"
        hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else known_ones
        return cls(f"unknown {what} {name!r}: {hint}")


class MissingDependencyError(MMIError, ImportError):
    """Something that has to be installed is not."""


class CheckpointError(MMIError):
    """Weights are missing, damaged or belong to another model."""


class DataError(MMIError):
    """Training data that cannot be used."""


class DeviceMemoryError(MMIError):
    """What was asked for does not fit the device's memory."""


class TrajectoryError(MMIError):
    """A run folder cannot be read or written."""


class AgentError(MMIError):
    """Something broke during a run."""


class PolicyError(AgentError):
    """The policy failed to decide."""


class ToolError(AgentError):
    """A tool failed in a way that the model cannot mend."""


class EnvironmentFailure(AgentError):  # noqa: N818 - "EnvironmentError" is OSError's old name
    """The world behind the environment is gone."""


class MemoryStoreError(AgentError):
    """What was remembered cannot be read or written."""


class ActionError(AgentError):
    """The call could not be carried out; the model is told why and may try another."""
