"""The model as a `Policy`: the one joint between the wing of the model and the wing of the agent."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import isfinite
from typing import Literal

import torch

from mmi_agent.errors import ConfigError, PolicyError, ShapeError
from mmi_agent.inference.answers import THOUGHT_TOKENS, answer, likeliest_answer
from mmi_agent.inference.calls import call_schemas, parse_labels
from mmi_agent.inference.channel import Ranked, Ranker
from mmi_agent.inference.document import Document, ReadCount
from mmi_agent.inference.grammar import Grammar
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.prompts import ChatPrompt
from mmi_agent.inference.quantization import can_halve
from mmi_agent.inference.sampling import Sampling
from mmi_agent.inference.sights import Look, Sight, sight_of, without_elements
from mmi_agent.policy import Context
from mmi_agent.tool import FINISH, FunctionTool
from mmi_agent.types import Block, Text, ToolCall

__all__ = ["ModelPolicy", "Strategy", "load_policy"]

Strategy = Literal["channel", "decode"]
"""How a call is chosen: by ranking drafts through the noisy channel, or by writing it token by token.

The channel needs tools that can tell what they do (`FunctionTool.told`); where none can, the call is written.
"""

_MANNERS: dict[Sight, list[str]] = {"elements": [], "both": ["look"], "picture": ["picture"]}
_FINISH_MARGIN = 3.0  # nats by which every further act must make the instruction less likely before the run is finished


def load_policy(
    preset: str = "small",
    *,
    strategy: Strategy | None = None,
    weights: str | None = None,
    look: Look | None = None,
    temperature: float = 0.0,
    reuse: bool = True,
    progress: Callable[[str], None] | None = None,
) -> "ModelPolicy":
    """Loads a preset and puts it in charge, its language weights in half precision where a CPU can read them so.

    Args:
        preset: "tiny" or "small".
        strategy: "channel" or "decode"; None is "decode" for weights that were trained to call tools, and for a model
            that sees no elements, of which drafts are made.
        weights: What `MMInterleaved.from_pretrained` takes.
        look: What it sees: "elements", "picture" or "both"; None is both where the preset's eyes are of any use, else
            the elements.
        temperature: Of thoughts and of decoded calls; 0 takes the likeliest.
        reuse: Whether a step keeps what an earlier step has read; off only to measure what that is worth.
        progress: Told what is being done while it takes long.

    Raises:
        UnknownNameError: If there is no such preset.
        CheckpointError: If weights are missing or damaged.
    """
    bits = 16 if can_halve("cpu", torch.float32) else None
    loaded = MMInterleaved.from_pretrained(preset, bits=bits, draws=False, weights=weights, progress=progress)
    strategy = strategy or ("decode" if loaded.adapter or look == "picture" else "channel")
    policy = ModelPolicy(loaded, strategy=strategy, look=look, temperature=temperature, reuse=reuse)
    if weights not in (None, "base"):
        policy.name += f"@{weights}"  # a run that is taken up again goes on with the same
    return policy


class ModelPolicy:
    """MM-Interleaved decides.

    Args:
        loaded: Model and tokenizer.
        strategy: How a call is chosen.
        look: What it sees; None is both where its eyes are of any use, else the elements.
        temperature: Of thoughts and of decoded calls.
        reuse: Whether a step keeps what an earlier step has read.

    Raises:
        ConfigError: If it is to see the picture alone and to choose by the channel.
    """

    def __init__(
        self,
        loaded: MMInterleaved,
        *,
        strategy: Strategy = "channel",
        look: Look | None = None,
        temperature: float = 0.0,
        reuse: bool = True,
    ) -> None:
        bare = ["base"] if loaded.name == "small" and loaded.adapter is None else []
        self.name = ":".join([loaded.name, *bare, strategy, *_MANNERS[sight_of(look or False)]])
        self.usage: dict[str, int] = {}
        self._loaded = loaded
        self._strategy = strategy
        self._sight: Sight = sight_of(loaded.sees if look is None else look)
        self._temperature = temperature
        self._reuse = reuse
        if self._sight == "picture" and strategy == "channel":
            raise ConfigError("the noisy channel drafts calls of elements: see the picture alone with 'decode'")
        self._document: Document | None = None

    def decide(self, context: Context) -> Iterator[Block]:
        """Writes a thought, then one call.

        Raises:
            PolicyError: If the prompt does not fit the model's window.
        """
        self.usage = {"reused": 0, "read": 0, "written": 0}
        document = self._open(context)
        try:
            if self._strategy == "channel" and any(isinstance(t, FunctionTool) and t.told for t in context.tools):
                yield from self._rank(document, context)
            else:
                yield from self._write(document, context)
        except ShapeError as error:
            raise PolicyError(f"{self.name} cannot read this step: {error}; lower the context budget") from error

    def _open(self, context: Context) -> Document:
        if self._document is None or not self._reuse:
            self._document = self._loaded.open(context.pictures)
        self._document.pictures = context.pictures
        return self._document

    def _count(self, read: ReadCount, written: int = 0) -> None:
        for kind, number in (("reused", read.reused), ("read", read.read), ("written", written)):
            self.usage[kind] += number

    def _rank(self, document: Document, context: Context) -> Iterator[Block]:
        ranking = Ranker(document, self._loaded.tokenizer, look=self._sight).rank(context)
        self._count(ranking.count)
        yield Text(text=_explained(ranking.candidates, ranking.stay))
        best = ranking.candidates[0] if ranking.candidates else None
        if best is None or best.score < ranking.stay - _FINISH_MARGIN:
            yield ToolCall(name=FINISH.name, arguments={"answer": "Nothing more would explain the task better."})
        else:
            yield ToolCall(name=best.draft.tool, arguments=best.draft.arguments)

    def _write(self, document: Document, context: Context) -> Iterator[Block]:
        tokenizer = self._loaded.tokenizer
        context = without_elements(context) if self._sight == "picture" else context
        grammar = Grammar.for_calls(call_schemas(context.tools, context.observation), tokenizer)
        room = self._loaded.model.config.decoder.max_positions - grammar.max_tokens - THOUGHT_TOKENS - 1
        chat = ChatPrompt(tokenizer, look=self._sight, picture_positions=self._loaded.picture_positions)
        self._count(document.become(chat.decision(context, max_positions=room)))
        if self._temperature:
            sampling = Sampling(temperature=self._temperature)
            written = answer(document, tokenizer, grammar, sampling=sampling, seed=context.seed)
            num_written = len(written)
        else:
            written, num_written = likeliest_answer(document, tokenizer, grammar)
        self._count(ReadCount(0, 0), num_written)
        yield Text(text=tokenizer.decode(written.thought).strip())
        yield parse_labels(grammar.parse_call(tokenizer.decode(written.call)), context.tools)


def _explained(candidates: Sequence[Ranked], stay: float) -> str:
    if not candidates:
        return "Nothing that I could do here would explain the task."
    told = [f"{candidate.draft.told} ({candidate.score:.1f})" for candidate in islice(candidates, 3)]
    told += [f"stopping here ({stay:.1f})"] if isfinite(stay) else []
    return f"What explains the task best, in nats: {'; '.join(told)}."
