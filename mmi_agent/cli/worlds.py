"""Makes the policy and the environment of one run, saying what takes long."""

import inspect
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import JsonValue

from mmi_agent.errors import ConfigError
from mmi_agent.policies import make_policy
from mmi_agent.registry import environment_class, make_environment

if TYPE_CHECKING:
    from mmi_agent.environment import Environment
    from mmi_agent.policy import Policy

__all__ = ["load_policy", "open_environment"]

_FLAGS = {"address": "--at", "allow": "--allow"}


@contextmanager
def open_environment(name: str, options: Mapping[str, JsonValue]) -> "Generator[Environment]":
    """Makes an environment and closes it in the end.

    Args:
        name: As in `mmi_agent.registry`.
        options: Passed to its class.

    Raises:
        ConfigError: If the environment has no such option.
    """
    build, _ = environment_class(name)
    for option in options:
        if option not in inspect.signature(build).parameters:
            raise ConfigError(f"the environment {name!r} has no option {_FLAGS.get(option, option)}")
    environment = make_environment(name, **options)
    try:
        yield environment
    finally:
        environment.close()


def load_policy(name: str, weights: str | None) -> "Policy":
    """Makes a policy, with a spinner on stderr."""
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(f"loading the policy {escape(name)}") as status:
        return make_policy(name, weights=weights, progress=status.update)
