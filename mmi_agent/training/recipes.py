"""Recipes of training: what learns, how fast, and what counts.

A recipe is data. It names parameters by pattern, in our names; `parameters.py` finds them in a model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmi_agent.errors import ConfigError, UnknownNameError
from mmi_agent.models.losses import PICTURE_WEIGHT, TEXT_WEIGHT

__all__ = ["PARTS", "RECIPES", "Group", "Lora", "Recipe", "recipe"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Parameters that learn alike.

    Attributes:
        name: What a person calls them.
        pattern: A regular expression that their names begin with; a parameter is of the first group that fits it.
        rate: Of the recipe's learning rate; 0 freezes them.
        weight_decay: None for the recipe's.
    """

    name: str
    pattern: str
    rate: float = 1.0
    weight_decay: float | None = None


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank additions to linear layers of the language decoder (arXiv:2106.09685).

    Attributes:
        rank: Of each addition.
        alpha: What is added is scaled by `alpha / rank`.
        layers: The layers that get one, by the last part of their name.
    """

    rank: int = 16
    alpha: float = 32.0
    layers: tuple[str, ...] = ("query", "key", "value", "output", "gate", "up", "down")

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.layers:
            raise ConfigError(f"LoRA of rank {self.rank} on {list(self.layers)}: expected a rank from 1 on, and layers")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Attributes:
        name: Its name.
        groups: What learns; what no group fits is frozen.
        lora: The low-rank additions; None for none.
        learning_rate: The highest.
        weight_decay: Of groups that do not say.
        betas: Of AdamW.
        eps: Of AdamW.
        warm_up: Share of the steps in which the learning rate rises to the highest.
        floor: What it falls to, along a cosine, as a share of the highest.
        clip_norm: Gradients of a larger norm are scaled down to it.
        text_weight: Of the token loss.
        picture_weight: Of the picture loss; 0 leaves it out, and the image decoder with it.
    """

    name: str
    groups: tuple[Group, ...]
    lora: Lora | None = None
    learning_rate: float
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.995)
    eps: float = 1e-6
    warm_up: float = 1 / 15
    floor: float = 0.0
    clip_norm: float = 1.0
    text_weight: float = TEXT_WEIGHT
    picture_weight: float = PICTURE_WEIGHT

    def also(self, parts: Sequence[str]) -> "Recipe":
        """Returns the recipe with more that learns, at its full rate.

        Args:
            parts: Names in `PARTS`.

        Raises:
            UnknownNameError: If there is no such part.
        """
        more: list[Group] = []
        for part in parts:
            if part not in PARTS:
                raise UnknownNameError.among("part", part, PARTS)
            more += PARTS[part]
        if not more:
            return self
        picture_weight = self.picture_weight or (PICTURE_WEIGHT if "hand" in parts else 0.0)
        return replace(self, groups=(*more, *self.groups), picture_weight=picture_weight)

    @property
    def fitting(self) -> tuple[Group, ...]:
        """The groups in the order in which they are tried: without a picture loss, none of the image decoder."""
        if self.picture_weight:
            return self.groups
        return (_NO_HAND, *(group for group in self.groups if not group.pattern.startswith(_HAND.pattern)))

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of so many."""
        warm_up = math.ceil(self.warm_up * steps)
        if step < warm_up:
            return self.learning_rate * (step + 1) / warm_up
        share = (step - warm_up) / max(1, steps - warm_up)
        return self.learning_rate * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * min(1.0, share))) / 2)


_GATES = Group(name="gates", pattern=r"decoder\.layers\.\d+\.look\.gate$", weight_decay=0.0)
_OFFSETS = Group(name="offsets", pattern=r".*(synchronizer|attention)\.offsets\.", rate=0.1, weight_decay=0.0)
_LOOKS = Group(name="looks", pattern=r"decoder\.layers\.\d+\.look\.")
_NEW_TOKENS = Group(name="new tokens", pattern=r"decoder\.new_head\.|begin_of_image$")
_AUTOENCODER = Group(name="autoencoder", pattern=r"image_decoder\.autoencoder\.", rate=0.0)
_TRANSFORMER = r"visual_tokenizer\.encoder\.(class_token|patches|positions|norm|layers)\b"
_EYES = Group(name="eyes", pattern=r"visual_tokenizer\.")
_UNET = Group(name="unet", pattern=r"image_decoder\.denoiser\.unet\.", rate=0.1)
_HAND = Group(name="hand", pattern=r"image_decoder\.")
_NO_HAND = Group(name="hand", pattern=r"image_decoder\.", rate=0.0)

PARTS: dict[str, tuple[Group, ...]] = {
    "eyes": (_EYES,),
    "looks": (_GATES, _LOOKS),
    "hand": (_AUTOENCODER, _HAND),
    "new-tokens": (_NEW_TOKENS,),
    "language": (Group(name="language", pattern=r"decoder\.(?!layers\.\d+\.look\.|.*\.lora_[AB]\.)"),),
}
"""What a person may want to train besides, by name."""

RECIPES: dict[str, Recipe] = {
    each.name: each
    for each in (
        # the paper's: the language model, CLIP's transformer and the autoencoder stay as they are
        Recipe(
            name="pretrain",
            groups=(
                Group(name="transformer of the eyes", pattern=_TRANSFORMER, rate=0.0),
                _AUTOENCODER,
                _GATES,
                _OFFSETS,
                _LOOKS,
                _NEW_TOKENS,
                _EYES,
                _UNET,
                _HAND,
            ),
            learning_rate=1e-4,
        ),
        Recipe(
            name="finetune",
            groups=(
                _AUTOENCODER,
                _GATES,
                _OFFSETS,
                _LOOKS,
                _NEW_TOKENS,
                Group(name="transformer of the eyes", pattern=_TRANSFORMER, rate=0.1),
                _EYES,
                _UNET,
                _HAND,
                Group(name="language", pattern=r"decoder\.", rate=0.1),
            ),
            learning_rate=1e-4,
        ),
        # eyes from nothing, for a language model that stays as it is
        Recipe(
            name="eyes",
            groups=(_GATES, _OFFSETS, _LOOKS, _EYES),
            learning_rate=1e-3,
            betas=(0.9, 0.98),
            warm_up=0.03,
            floor=0.05,
            picture_weight=0.0,
        ),
        # the hand alone, beside a language model with LoRA, whose own are left as they are
        Recipe(
            name="hand",
            groups=(_AUTOENCODER, _HAND),
            lora=Lora(),
            learning_rate=5e-4,
            weight_decay=0.01,
            betas=(0.9, 0.99),
            eps=1e-8,
            warm_up=0.03,
            floor=0.05,
        ),
        Recipe(
            name="lora",
            groups=(Group(name="low-rank additions", pattern=r"decoder\.layers\..*\.lora_[AB]\."),),
            lora=Lora(),
            learning_rate=5e-4,
            weight_decay=0.0,
            betas=(0.9, 0.99),
            eps=1e-8,
            warm_up=0.03,
            floor=0.1,
            picture_weight=0.0,
        ),
    )
}


def recipe(name: str) -> Recipe:
    """Returns the recipe of that name.

    Raises:
        UnknownNameError: If there is none; offers the nearest.
    """
    if name not in RECIPES:
        raise UnknownNameError.among("recipe", name, RECIPES)
    return RECIPES[name]
