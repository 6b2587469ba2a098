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
        log_prob: Of both, as written without a grammar, in nats.
        call_log_prob: Of the call after the thought.
        turns: Beginnings of other thoughts, where this one was least sure, the likeliest first.
    """

    thought: list[int]
    call: list[int]
    log_prob: float
    call_log_prob: float
    turns: list[list[int]]


def likeliest_answer(document: Document, tokenizer: Tokenizer, grammar: Grammar) -> tuple[Answer, int]:
    """Writes the likeliest answer that is found, and how many tokens that took; the document ends with any of them."""
    start = len(document.units)
    answers = [answer(document, tokenizer, grammar)]
    if answers[0].call_log_prob < _DOUBT:
        for begun in answers[0].turns:
            document.rewind(start)
            answers.append(answer(document, tokenizer, grammar, begun=begun))
    return max(answers, key=lambda each: each.log_prob), sum(len(each.thought) + len(each.call) for each in answers)


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
    start = len(document.units)
    document.append(list(begun))
    left = THOUGHT_TOKENS - len(begun)
    pieces = document.write(max_tokens=left, stop=["\n"], sampling=sampling, seed=seed, pictures=0)
    thought = [*begun, *(token for piece in pieces for token in piece.ids)]
    document.append("\n")
    pieces = document.write(max_tokens=grammar.max_tokens, grammar=grammar, sampling=sampling, seed=seed + 1)
    call = [token for piece in pieces for token in piece.ids]

    written_T1 = torch.tensor([[unit] for unit in document.units[start:] if isinstance(unit, int)])
    log_probs_TV = document.hindsight(len(written_T1))
    log_probs_T = log_probs_TV.gather(1, written_T1)[:, 0]
    return Answer(
        thought=thought,
        call=call,
        log_prob=float(log_probs_T.sum()),
        call_log_prob=float(log_probs_T[-len(call) :].sum()),
        turns=_turns(log_probs_TV[: len(thought)], thought, len(begun), tokenizer),
    )


def _turns(log_probs_TV: Tensor, thought: list[int], kept: int, tokenizer: Tokenizer) -> list[list[int]]:
    """The thought up to where another token was nearly as likely, and that token; none that ends the thought."""
    best_T2, ids_T2 = log_probs_TV.topk(2)
    leads = [float(first - second) for first, second in best_T2]
    others = [int(second) for _, second in ids_T2]
    texts = [tokenizer.token_bytes(token) for token in others]
    open_places = [place for place in range(kept, len(thought)) if texts[place] and b"\n" not in texts[place]]
    chosen = sorted(open_places, key=leads.__getitem__)[:_TURNS]
    return [[*thought[:place], others[place]] for place in chosen]
