"""A thought and a call, and second thoughts where the call is not what the thought led to.

A grammar makes every call fit. So a model that thinks of a link that is not on the screen does not get to say so: it is
made to press another. How likely the call would have been, had the model been free, tells. Where it was not, the model
goes back to where it wavered, thinks on from there, and the thought and the call that are likeliest together are kept:
of the answers that fit, the likeliest of those that were looked at, where a grammar alone takes the likeliest token at
each place, wherever that leads (arXiv:2405.21047).
"""

# T tokens, V vocabulary

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmi_agent.inference.document import Document
from mmi_agent.inference.grammar import Grammar
from mmi_agent.inference.sampling import Sampling
from mmi_agent.inference.tokenizer import Tokenizer

__all__ = ["THOUGHT_TOKENS", "Answer", "answer", "likeliest_answer"]

THOUGHT_TOKENS = 64
"""No thought is longer."""

_DOUBT = -1.5  # nats, of the whole call
_TURNS = 3


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model wrote.

    Attributes:
        thought: Its tokens.
        call: Its tokens.
    """

    thought: list[int]
    call: list[int]

    def __len__(self) -> int:
        return len(self.thought) + len(self.call)


def likeliest_answer(document: Document, tokenizer: Tokenizer, grammar: Grammar) -> tuple[Answer, int]:
    """Writes the likeliest answer that is found, and how many tokens that took; the document ends with any of them."""
    start = len(document.units)
    first = answer(document, tokenizer, grammar)
    if _log_prob(*_looking_back(document, len(document.units) - len(first.call))) >= _DOUBT:
        return first, len(first)
    written, log_probs_TV = _looking_back(document, start)
    answers = [(_log_prob(written, log_probs_TV), first)]
    for begun in _turns(first.thought, log_probs_TV, tokenizer):
        document.rewind(start)
        another = answer(document, tokenizer, grammar, begun=begun)
        answers.append((_log_prob(*_looking_back(document, start)), another))
    return max(answers, key=lambda each: each[0])[1], sum(len(each) for _, each in answers)


def answer(
    document: Document,
    tokenizer: Tokenizer,
    grammar: Grammar,
    *,
    begun: Sequence[int] = (),
    sampling: Sampling | None = None,
    seed: int = 0,
) -> Answer:
    """Writes one answer, and leaves it in the document.

    Args:
        document: Ends where the answer begins.
        tokenizer: The document's.
        grammar: Of the call.
        begun: How the thought begins.
        sampling: How tokens are chosen; None takes the likeliest.
        seed: Of the draws.
    """
    document.append(list(begun))
    left = THOUGHT_TOKENS - len(begun)
    pieces = document.write(max_tokens=left, stop=["\n"], sampling=sampling, seed=seed, pictures=0)
    thought = [*begun, *(token for piece in pieces for token in piece.ids)]
    document.append("\n")
    pieces = document.write(max_tokens=grammar.max_tokens, grammar=grammar, sampling=sampling, seed=seed + 1)
    return Answer(thought=thought, call=[token for piece in pieces for token in piece.ids])


def _looking_back(document: Document, start: int) -> tuple[list[int], Tensor]:
    """The document's tokens from `start` on, and the log probabilities of every token in their places, (T, V)."""
    written = [unit for unit in document.units[start:] if isinstance(unit, int)]
    return written, document.hindsight(len(written))


def _log_prob(written: list[int], log_probs_TV: Tensor) -> float:
    """Of what was written, as if it had been written freely, in nats."""
    return float(log_probs_TV.gather(1, torch.tensor(written)[:, None]).sum())


def _turns(thought: list[int], log_probs_TV: Tensor, tokenizer: Tokenizer) -> list[list[int]]:
    """Beginnings of other thoughts: this one up to where another token was nearly as likely, and that one.

    None that would end the thought.
    """
    best_T2, ids_T2 = log_probs_TV[: len(thought)].topk(2)
    leads = [float(first - second) for first, second in best_T2]
    others = [int(second) for _, second in ids_T2]
    texts = [tokenizer.token_bytes(token) for token in others]
    open_places = [place for place, text in enumerate(texts) if text and b"\n" not in text]
    places = sorted(open_places, key=leads.__getitem__)[:_TURNS]
    return [[*thought[:place], others[place]] for place in places]
