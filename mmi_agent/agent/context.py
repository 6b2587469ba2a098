"""Builds what a policy reads, under a budget of tokens and pictures.

The rule: instruction, tools and the current observation always stand, whole. Past steps stand from the newest back.
When they exceed the budget, the oldest go until three quarters of it are left, so that the beginning of the context
then stays put for several steps and a prefix that was read before can be reused. Pictures go first, by the same rule
and their own budget: a step that lost its pictures still stands with its words.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from mmi_agent.policy import PastStep
from mmi_agent.tool import Tool
from mmi_agent.types import Block, Observation, Picture, Text

__all__ = ["TOKENS_PER_PICTURE", "estimated_tokens", "past_within", "text_tokens"]

TOKENS_PER_PICTURE = 64
"""What the model's resampler makes of one picture; an estimate for other policies."""

_CHARACTERS_PER_TOKEN = 4


def past_within(
    steps: Sequence[PastStep],
    *,
    instruction: str,
    tools: Sequence[Tool],
    observation: Observation,
    max_tokens: int,
    max_pictures: int,
) -> tuple[PastStep, ...]:
    """Chooses the past steps that a policy is shown, oldest first.

    Args:
        steps: Every step so far, oldest first.
        instruction: What always stands, as do the next two.
        tools: What may be called.
        observation: What is seen now.
        max_tokens: Estimated tokens of the whole context.
        max_pictures: Pictures beside those of the current observation.
    """
    with_pictures = _first_kept([_picture_count(step) for step in steps], max_pictures)
    kept = [_without_pictures(step) if i < with_pictures else step for i, step in enumerate(steps)]
    fixed = text_tokens(instruction) + sum(map(_tool_tokens, tools)) + estimated_tokens(observation)
    first = _first_kept([_step_tokens(step) for step in kept], max(0, max_tokens - fixed))
    return tuple(kept[first:])


def estimated_tokens(observation: Observation) -> int:
    """Roughly how many tokens an observation takes."""
    characters = len(observation.text)
    for element in observation.elements:
        characters += len(element.role) + len(element.name) + len(element.value) + 8 * (1 + len(element.states))
    return characters // _CHARACTERS_PER_TOKEN + TOKENS_PER_PICTURE * len(observation.pictures)


def text_tokens(text: str) -> int:
    """Roughly how many tokens a text takes."""
    return len(text) // _CHARACTERS_PER_TOKEN


def _first_kept(costs: Sequence[int], budget: int) -> int:
    """Index of the first cost that still stands, after replaying the rule from the beginning of the run."""
    first = total = 0
    for last, cost in enumerate(costs):
        total += cost
        if total <= budget:
            continue
        while first <= last and total > budget - budget // 4:
            total -= costs[first]
            first += 1
    return first


def _tool_tokens(tool: Tool) -> int:
    return text_tokens(tool.description) + 16 * (1 + len(getattr(tool.args_schema, "model_fields", ())))


def _step_tokens(step: PastStep) -> int:
    call = text_tokens(step.call.name + json.dumps(step.call.arguments)) if step.call else 0
    written = sum(map(_block_tokens, step.blocks))
    outcome = text_tokens(step.outcome.text) + TOKENS_PER_PICTURE * len(step.outcome.pictures)
    return estimated_tokens(step.observation) + written + call + outcome


def _block_tokens(block: Block) -> int:
    match block:
        case Text():
            return text_tokens(block.text)
        case Picture():
            return TOKENS_PER_PICTURE
        case _:
            return text_tokens(json.dumps(block.arguments))


def _picture_count(step: PastStep) -> int:
    drawn = sum(isinstance(block, Picture) for block in step.blocks)
    return len(step.observation.pictures) + drawn + len(step.outcome.pictures)


def _without_pictures(step: PastStep) -> PastStep:
    return replace(
        step,
        observation=step.observation.model_copy(update={"pictures": ()}),
        blocks=tuple(block for block in step.blocks if not isinstance(block, Picture)),
        outcome=step.outcome.model_copy(update={"pictures": ()}),
    )
