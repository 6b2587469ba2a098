"""Second thoughts: the answer that is kept is the likeliest, and one that the screen has room for."""

from mmi_agent.inference.answers import THOUGHT_TOKENS, answer, likeliest_answer
from mmi_agent.inference.grammar import CallSchema, Grammar
from mmi_agent.inference.loading import MMInterleaved


def test_what_is_kept_is_never_less_likely_than_the_first_thought() -> None:
    loaded = MMInterleaved.from_pretrained("tiny", draws=False)
    grammar = Grammar.for_calls([CallSchema("press", {"properties": {"key": {"enum": ["a", "b"]}}})], loaded.tokenizer)
    gains: list[float] = []
    for prompt in "ghij":
        document = loaded.open()
        document.append(prompt)
        first = answer(document.fork(), loaded.tokenizer, grammar)
        best, written = likeliest_answer(document, loaded.tokenizer, grammar)
        gains.append(best.log_prob - first.log_prob)
        assert grammar.parse_call(loaded.tokenizer.decode(best.call)).name == "press"
        assert len(best.thought) <= THOUGHT_TOKENS
        assert written >= 2 * (len(first.thought) + len(first.call)), "random weights never want a call"
        assert all("\n" not in loaded.tokenizer.decode(begun) for begun in first.turns)
    assert min(gains) >= 0 and max(gains) > 0
