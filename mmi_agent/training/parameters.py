"""What learns in a model: a recipe's groups found among its parameters, the rest frozen, LoRA put in."""

import re
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import nn

from mmi_agent.errors import ConfigError, MissingDependencyError
from mmi_agent.models.language_decoder import LanguageDecoder
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.quiet_imports import quiet_imports
from mmi_agent.training.recipes import Group, Lora, Recipe

__all__ = ["Learners", "find_learners", "make_optimizer", "prepare", "saved_name"]


class Learners(NamedTuple):
    """The parameters that learn."""

    parameters: dict[str, nn.Parameter]
    """By the name that they are saved under."""
    groups: list[dict[str, Any]]
    """As an optimiser takes them; each has its `rate`."""


def prepare(model: MMInterleavedModel, recipe: Recipe, *, seed: int = 0) -> Learners:
    """Puts a recipe's LoRA into a model, and freezes what the recipe does not train.

    Args:
        model: The model.
        recipe: The recipe.
        seed: Of what LoRA starts with.

    Returns:
        What learns; found anew once the model is spread over processes.

    Raises:
        ConfigError: If the recipe trains a part that the model lacks.
        MissingDependencyError: If it has LoRA and peft is not installed.
    """
    if recipe.picture_weight and model.image_decoder is None:
        raise ConfigError(
            f"the recipe {recipe.name!r} has a picture loss and the model has no image decoder: expected a preset with "
            f"one, or a picture weight of 0"
        )
    if recipe.lora is not None:
        _add_lora(model.decoder, recipe.lora, seed)
    for name, parameter in model.named_parameters():
        group = _group_of(name, recipe)
        parameter.requires_grad_(group is not None and group.rate > 0)
    return find_learners(model, recipe)


def find_learners(model: MMInterleavedModel, recipe: Recipe) -> Learners:
    """Groups what a recipe trains in a model that was prepared for it.

    Raises:
        ConfigError: If the recipe trains a part that the model lacks, or nothing.
    """
    members: dict[Group, dict[str, nn.Parameter]] = {group: {} for group in recipe.fitting if group.rate}
    for name, parameter in model.named_parameters():
        if (group := _group_of(name, recipe)) in members:
            members[group][saved_name(name)] = parameter
    names = [name for name, _ in model.named_parameters()]
    if missing := next((group for group in members if not any(re.match(group.pattern, name) for name in names)), None):
        raise ConfigError(
            f"the recipe {recipe.name!r} trains {missing.name!r} and the model has none: expected another preset or "
            f"another recipe"
        )
    if not any(members.values()):
        raise ConfigError(f"the recipe {recipe.name!r} without a picture loss trains nothing: give it a weight")
    groups: list[dict[str, Any]] = []
    for group, found in members.items():
        decay = recipe.weight_decay if group.weight_decay is None else group.weight_decay
        matrices = [parameter for parameter in found.values() if parameter.ndim > 1]
        others = [parameter for parameter in found.values() if parameter.ndim <= 1]  # norms, biases, gates
        groups += [
            {"params": parameters, "rate": group.rate, "weight_decay": weight_decay}
            for parameters, weight_decay in ((matrices, decay), (others, 0.0))
            if parameters
        ]
    return Learners({name: each for found in members.values() for name, each in found.items()}, groups)


def make_optimizer(learners: Learners, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW as the recipe wants it, fused where it can be."""
    kinds = {parameter.device.type for parameter in learners.parameters.values()}
    fused = kinds <= {"cpu", "cuda"}
    return torch.optim.AdamW(learners.groups, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.eps, fused=fused)


def saved_name(name: str) -> str:
    """What a parameter is called in a file: our name, and LoRA's without what peft adds to it."""
    return re.sub(r"\.(lora_[AB])\.default\.weight$", r".\1", name).replace(".base_layer.", ".")


def _group_of(name: str, recipe: Recipe) -> Group | None:
    return next((group for group in recipe.fitting if re.match(group.pattern, name)), None)


def _add_lora(decoder: LanguageDecoder, lora: Lora, seed: int) -> None:
    try:
        with quiet_imports():  # takes seconds
            peft: Any = import_module("peft")
    except ImportError as error:
        raise MissingDependencyError(f"LoRA needs peft ({error}): python -m pip install 'mmi-agent[train]'") from error
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=rf"layers\.\d+\.(attention|feed_forward)\.({'|'.join(map(re.escape, lora.layers))})",
    )
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed)
        peft.inject_adapter_in_model(config, decoder)
    except ValueError as error:
        raise ConfigError(f"LoRA finds no layer {' or '.join(lora.layers)} in the language decoder") from error
    finally:
        torch.set_rng_state(state)
