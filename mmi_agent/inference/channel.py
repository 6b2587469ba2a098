"""The noisy channel: choose the call that best explains why the person asked what they asked.

A model that was never tuned for tools is poor at saying what to do next, and good at telling what a person must have
wanted who did a thing. So calls are drafted, and ranked by the probability of the instruction after "A user of a screen
clicked the button "Ok". What was the instruction?". What was done before is part of the telling, so that a plan of
several steps is explained as a whole.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from mmi_agent.inference.document import Continuation, Document, ReadCount, Unit
from mmi_agent.inference.drafts import Draft, describe, draft_calls
from mmi_agent.inference.prompts import ChatPrompt, encode_content, turn
from mmi_agent.inference.sights import Look
from mmi_agent.inference.tokenizer import START_OF_TURN, Tokenizer
from mmi_agent.policy import Context, PastStep
from mmi_agent.tool import FunctionTool, Tool, argument_marks, parse_arguments

__all__ = ["Ranked", "Ranker", "Ranking", "told_steps"]


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A drafted call with how well it explains the instruction.

    Attributes:
        draft: The call.
        score: Log probability of the instruction if the call had been made, in nats.
    """

    draft: Draft
    score: float


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The candidates of one step.

    Attributes:
        candidates: Best first; empty where nothing can be drafted.
        stay: Log probability of the instruction if nothing more was done; minus infinity before the first act.
        count: What it cost, in positions.
    """

    candidates: list[Ranked]
    stay: float
    count: ReadCount


class Ranker:
    """Ranks drafts with one model.

    Args:
        document: Kept between rankings, for the beginning that they share.
        tokenizer: Of the model.
        look: What the model sees of the screen while it ranks; drafts are made of elements, whether or not.
    """

    def __init__(self, document: Document, tokenizer: Tokenizer, *, look: Look) -> None:
        self._document = document
        self._tokenizer = tokenizer
        self._chat = ChatPrompt(tokenizer, look=look)

    def rank(self, context: Context) -> Ranking:
        """Drafts and ranks the calls that were not made yet."""
        before = told_steps(context.steps, context.tools)
        drafts = [
            draft
            for draft in draft_calls(context.instruction, context.observation, context.tools)
            if draft.told not in before
        ]
        count = self._document.become(self._telling(context, before))
        link = ", then " if before else " "
        rows = [self._continuation(f"{link}{draft.told}", context.instruction) for draft in drafts]
        stay = [self._continuation("", context.instruction)] if before else []
        scores = self._document.score([*rows, *stay])
        ranked = [Ranked(draft=draft, score=score) for draft, score in zip(drafts, scores, strict=False)]
        shared = self._document.length * max(len(rows) + len(stay) - 1, 0)
        told = sum(len(row.given) + len(row.scored) for row in (*rows, *stay))
        return Ranking(
            candidates=sorted(ranked, key=lambda candidate: -candidate.score),
            stay=scores[-1] if stay else -math.inf,
            count=ReadCount(count.reused + shared, count.read + told),
        )

    def _telling(self, context: Context, before: Sequence[str]) -> list[Unit]:
        acts = [f"{', then' if place else ''} {act}" for place, act in enumerate(before)]
        seen = self._chat.pictures(context.observation)
        return encode_content(turn("user", [*seen, "A user of a screen", *acts], closed=False), self._tokenizer)

    def _continuation(self, told: str, instruction: str) -> Continuation:
        asked = self._tokenizer.encode(f"{told}. What was the instruction?")
        answer = [self._tokenizer.end_of_turn, *self._tokenizer.encode("\n"), self._tokenizer.special(START_OF_TURN)]
        given = [*asked, *answer, *self._tokenizer.encode("assistant\n")]
        return Continuation(given, self._tokenizer.encode(instruction))


def told_steps(steps: Sequence[PastStep], tools: Sequence[Tool]) -> list[str]:
    """How a person would tell the steps so far: the calls that were carried out, of the tools that can tell."""
    tellers = {tool.name: tool for tool in tools if isinstance(tool, FunctionTool) and tool.told}
    told: list[str] = []
    for step in steps:
        if step.call and step.outcome.status == "done" and (tool := tellers.get(step.call.name)):
            told.append(_told(tool, step.call.arguments, describe(step.observation.actionable)))
    return told


def _told(tool: FunctionTool, arguments: dict[str, JsonValue], names: Mapping[int, str]) -> str:
    parsed = parse_arguments(tool, arguments)
    marks = {field: names.get(mark, "something") for field, mark in argument_marks(parsed).items()}
    return tool.told.format_map({**parsed.model_dump(), **marks})
