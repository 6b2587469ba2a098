"""Second thoughts: the answer that is kept is the likeliest that was found, and it fits."""

from mmi_agent.inference.answers import THOUGHT_TOKENS, Answer, answer, likeliest_answer
from mmi_agent.inference.document import Continuation, Document
from mmi_agent.inference.grammar import CallSchema, Grammar
from mmi_agent.inference.loading import MMInterleaved


def test_what_is_kept_is_never_less_likely_than_the_first_thought() -> None:
    loaded = MMInterleaved.from_pretrained("tiny", draws=False)
    grammar = Grammar.for_calls([CallSchema("press", {"properties": {"key": {"enum": ["a", "b"]}}})], loaded.tokenizer)

    def score(document: Document, written: Answer) -> float:
        ids = [*written.thought, *loaded.tokenizer.encode("\n"), *written.call]
        return document.score([Continuation([], ids)])[0]

    gains: list[float] = []
    for prompt in "ghij":
        document = loaded.open()
        document.append(prompt)
        first = answer(document.fork(), loaded.tokenizer, grammar)
        best, num_written = likeliest_answer(document.fork(), loaded.tokenizer, grammar)
        gains.append(score(document, best) - score(document, first))
        assert grammar.parse_call(loaded.tokenizer.decode(best.call)).name == "press"
        assert "\n" not in loaded.tokenizer.decode(best.thought)
        assert len(best.thought) <= THOUGHT_TOKENS
        assert num_written >= 2 * len(first), "random weights never want a call"
    assert min(gains) >= 0 and max(gains) > 1
