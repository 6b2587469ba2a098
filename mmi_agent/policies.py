"""Finds policies by name, and loads only the one that is asked for: torch comes in with a model and not before.

small  tiny                      the embedded model, by preset
small:base                       without the weights that were trained on top
small:channel  small:decode      how it chooses: ranking drafts through the noisy channel, or writing its call;
                                 none named is what suits the weights; these words go together where they can
small:look                       with its eyes open, whether or not they were trained
small:picture                    with nothing but its eyes: no list of elements, and calls that point, always decoded
small@DIR  small:decode@DIR      with the weights of that folder, as `mmi train` made it
random  first-element            baselines that need no model
chat:openai:gpt-5                any chat model that LangChain knows by provider and name
my_package.module:MyPolicy       somebody's own class, called without arguments
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from mmi_agent.checkpoints.files import MANIFEST, TRAINED
from mmi_agent.errors import ConfigError, MissingDependencyError, UnknownNameError
from mmi_agent.policy import Policy

__all__ = ["POLICIES", "check_policy", "is_import_path", "make_policy", "trained_weights"]

POLICIES = {
    "small": "the embedded model (SmolLM2-135M) as it was trained for tools",
    "small:base": "the same model as it was before, choosing by the noisy channel",
    "small:base:decode": "before, writing its calls token by token",
    "small:look": "with the screenshot before it; its eyes are not trained yet",
    "small:picture": "with the screenshot alone, no list of elements",
    "small@DIR": "with weights of your own, as `mmi train` made them",
    "tiny": "a model of random weights: for tests, in a moment",
    "tiny:decode": "the same, writing its calls token by token",
    "random": "a random tool with random valid arguments",
    "first-element": "clicks the first element that is more than something to read",
}
"""The policies that have a name of their own, and what they are."""

_PRESETS = ("small", "tiny")
_CHAT = "chat:"
_MANNERS = ("base", "channel", "decode", "look", "picture")
_APART = ({"channel", "decode"}, {"look", "picture"}, {"channel", "picture"})


def check_policy(name: str, *, weights: str | None = None) -> None:
    """Makes sure that the name is one, without loading anything.

    Args:
        name: See the top of this file.
        weights: Those that a person asked for beside the name.

    Raises:
        UnknownNameError: If it is not; offers the nearest.
        ConfigError: If name and person ask for weights.
    """
    if name not in POLICIES and not _is_model(name) and not _is_chat(name) and not is_import_path(name):
        raise UnknownNameError.among("policy", name, POLICIES)
    bare, _, own = name.partition("@")
    if own and weights and _is_model(name):
        raise ConfigError(f"the policy {name!r} says its weights: leave out --weights, or name {bare}@{weights}")


def trained_weights(name: str, *, weights: str | None = None) -> Path | None:
    """The folder of the adapter that a policy decides with; None where it has none.

    Args:
        name: See the top of this file.
        weights: As `make_policy` takes them.
    """
    if not _is_model(name):
        return None
    bare, _, own = name.partition("@")
    preset, *manners = bare.split(":")
    given = own or weights
    if "base" in (*manners, given):
        return None
    folders = [*([Path(given)] if given else []), TRAINED / preset]
    return next((folder for folder in folders if (folder / MANIFEST).is_file()), None)


def make_policy(name: str, *, weights: str | None = None, progress: Callable[[str], None] | None = None) -> Policy:
    """Builds the policy of that name.

    Args:
        name: See the top of this file.
        weights: Of a model that names none itself: what `MMInterleaved.from_pretrained` takes.
        progress: Told what is being done while it takes long.

    Raises:
        UnknownNameError: If there is no such policy.
        MissingDependencyError: If it is a model and an extra, or the package of its provider, is not installed.
        ConfigError: If it is a chat model that cannot be had as it is set up.
        CheckpointError: If its weights are missing or damaged.
    """
    check_policy(name)
    if name == "random":
        from mmi_agent.agent.baselines import RandomPolicy

        return RandomPolicy()
    if name == "first-element":
        from mmi_agent.agent.baselines import FirstElementPolicy

        return FirstElementPolicy()
    if _is_chat(name):
        return _chat(name.removeprefix(_CHAT))
    if not _is_model(name):
        return _imported(name)
    bare, _, own = name.partition("@")
    return _model(*bare.split(":"), weights=own or weights, progress=progress)


def _model(preset: str, *manners: str, weights: str | None, progress: Callable[[str], None] | None) -> Policy:
    try:
        from mmi_agent.inference.policy import load_policy
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the policy {preset!r} needs the package {error.name!r}: pip install 'mmi-agent[model]'"
        ) from error
    return load_policy(
        preset,
        strategy="channel" if "channel" in manners else "decode" if "decode" in manners else None,
        look="picture" if "picture" in manners else "both" if "look" in manners else None,
        weights="base" if "base" in manners else weights,
        progress=progress,
    )


def _chat(model: str) -> Policy:
    try:
        from mmi_agent.integrations.policy import load_chat_policy
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the policy 'chat:{model}' needs the package {error.name!r}: pip install 'mmi-agent[langchain]'"
        ) from error
    return load_chat_policy(model)


def _is_chat(name: str) -> bool:
    provider, _, model = name.removeprefix(_CHAT).partition(":")
    return name.startswith(_CHAT) and bool(provider and model)


def _is_model(name: str) -> bool:
    bare, at, weights = name.partition("@")
    preset, *manners = bare.split(":")
    words = set(manners)
    fits = words <= set(_MANNERS) and not any(pair <= words for pair in _APART)
    return preset in _PRESETS and fits and (not at or (bool(weights) and "base" not in words))


def is_import_path(name: str) -> bool:
    """Whether a policy of that name would be made by code that the name says."""
    module, _, attribute = name.partition(":")
    return module not in _PRESETS and attribute.isidentifier() and all(map(str.isidentifier, module.split(".")))


def _imported(name: str) -> Policy:
    module, _, attribute = name.partition(":")
    try:
        build = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise UnknownNameError(f"unknown policy {name!r}: there is no module {error.name!r}") from error
    except AttributeError as error:
        raise UnknownNameError(f"unknown policy {name!r}: {module!r} has no {attribute!r}") from error
    policy = build()
    if not callable(getattr(policy, "decide", None)):
        raise ConfigError(f"{name!r} makes a {type(policy).__name__}, which has no `decide`: it is no policy")
    return cast("Policy", policy)
