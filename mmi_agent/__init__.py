"""mmi_agent: a model that reads and writes text and pictures in any order, in charge of real screens and worlds.

Importing this package loads none of its parts; each name below loads its module when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmi_agent.agent.approval import AllowListed, ApprovalRequest, AskInTerminal, DenyAll
    from mmi_agent.agent.events import Acted, Called, Ended, Event, Observed, Run, Wrote
    from mmi_agent.agent.limits import Limits
    from mmi_agent.agent.runtime import Agent
    from mmi_agent.agent.trajectory import Trajectory, read_trajectory
    from mmi_agent.environment import Environment
    from mmi_agent.errors import (
        ActionError,
        AgentError,
        CheckpointError,
        ConfigError,
        DeviceMemoryError,
        EnvironmentFailure,
        MissingDependencyError,
        MMIError,
        PolicyError,
        ShapeError,
        ToolError,
        TrajectoryError,
        UnknownNameError,
    )
    from mmi_agent.inference.loading import MMInterleaved
    from mmi_agent.pictures import FolderPictures, MemoryPictures, PictureStore
    from mmi_agent.policy import Context, PastStep, Policy
    from mmi_agent.registry import environment_names, make_environment
    from mmi_agent.tool import ELEMENT_MARK, FunctionTool, NoArguments, Tool
    from mmi_agent.types import Block, Element, Observation, Outcome, Picture, Text, ToolCall, Verdict

__all__ = [
    "ELEMENT_MARK",
    "Acted",
    "ActionError",
    "Agent",
    "AgentError",
    "AllowListed",
    "ApprovalRequest",
    "AskInTerminal",
    "Block",
    "Called",
    "CheckpointError",
    "ConfigError",
    "Context",
    "DenyAll",
    "DeviceMemoryError",
    "Element",
    "Ended",
    "Environment",
    "EnvironmentFailure",
    "Event",
    "FolderPictures",
    "FunctionTool",
    "Limits",
    "MMIError",
    "MMInterleaved",
    "MemoryPictures",
    "MissingDependencyError",
    "NoArguments",
    "Observation",
    "Observed",
    "Outcome",
    "PastStep",
    "Picture",
    "PictureStore",
    "Policy",
    "PolicyError",
    "Run",
    "ShapeError",
    "Text",
    "Tool",
    "ToolCall",
    "ToolError",
    "Trajectory",
    "TrajectoryError",
    "UnknownNameError",
    "Verdict",
    "Wrote",
    "environment_names",
    "make_environment",
    "read_trajectory",
]

__version__ = "0.1.0"

_MODULES = {
    "agent.approval": ("AllowListed", "ApprovalRequest", "AskInTerminal", "DenyAll"),
    "agent.events": ("Acted", "Called", "Ended", "Event", "Observed", "Run", "Wrote"),
    "agent.limits": ("Limits",),
    "agent.runtime": ("Agent",),
    "agent.trajectory": ("Trajectory", "read_trajectory"),
    "environment": ("Environment",),
    "errors": (
        "ActionError",
        "AgentError",
        "CheckpointError",
        "ConfigError",
        "DeviceMemoryError",
        "EnvironmentFailure",
        "MMIError",
        "MissingDependencyError",
        "PolicyError",
        "ShapeError",
        "ToolError",
        "TrajectoryError",
        "UnknownNameError",
    ),
    "inference.loading": ("MMInterleaved",),
    "pictures": ("FolderPictures", "MemoryPictures", "PictureStore"),
    "policy": ("Context", "PastStep", "Policy"),
    "registry": ("environment_names", "make_environment"),
    "tool": ("ELEMENT_MARK", "FunctionTool", "NoArguments", "Tool"),
    "types": ("Block", "Element", "Observation", "Outcome", "Picture", "Text", "ToolCall", "Verdict"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if module := _HOME.get(name):
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
