"""Accuracy of answers to questions about pictures, as the VQA challenge counts it."""

import re
from collections.abc import Iterator, Sequence

from mmi_agent.errors import ConfigError

__all__ = ["normalised", "shortened", "vqa_accuracy"]

_ENOUGH = 3  # people who agree with an answer make it right

_NUMBERS = {"none": "0"} | {
    word: str(number) for number, word in enumerate("zero one two three four five six seven eight nine ten".split())
}
_ARTICLES = frozenset(("a", "an", "the"))
_CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
    he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've
    needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've
    somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll
    that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've
    weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll
    why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
""".split()
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_BETWEEN_DIGITS = re.compile(r"\d,\d")
_LOOSE_PERIOD = re.compile(r"\.(?!\d)")


def vqa_accuracy(answer: str, people: Sequence[str]) -> float:
    """Says how right an answer is: a third for each person who gave it, at most 1, averaged over leaving each out.

    Where the people disagree, their answers and this one are normalised first; where all said the same, it has to be
    said just so. With a single right answer, as in GQA, it is right or wrong.

    Raises:
        ConfigError: If there are two or three answers, or none: the measure is not defined for them.

    Source: VQA: Visual Question Answering (arXiv:1505.00468) and its evaluation program.
    """
    if len(people) != 1 and len(people) <= _ENOUGH:
        raise ConfigError(f"{len(people)} answers of people: expected ten, or the single right one")
    answer, *said = (" ".join(re.split(r"[\n\t]", text)).strip() for text in (answer, *people))
    if len(said) == 1:
        return float(normalised(answer) == normalised(said[0]))
    if len(set(said)) > 1:
        answer, *said = map(normalised, (answer, *said))
    agree = said.count(answer)
    left_out = [min(1.0, (agree - (one == answer)) / _ENOUGH) for one in said]
    return sum(left_out) / len(left_out)


def normalised(answer: str) -> str:
    """An answer without punctuation and articles, numbers as digits and contractions with their apostrophe."""
    split = _BETWEEN_DIGITS.search(answer) is not None
    text = answer
    for mark in _PUNCTUATION:
        loose = split or f"{mark} " in answer or f" {mark}" in answer
        text = text.replace(mark, "" if loose else " ")
    spoken = (_NUMBERS.get(word, word) for word in _LOOSE_PERIOD.sub("", text).lower().split())
    return " ".join(_APOSTROPHES.get(word, word) for word in spoken if word not in _ARTICLES)


def shortened(text: str) -> str:
    """The answer within what a model wrote, as the released evaluation cuts it out before it is compared.

    The first clause; of that, what stands behind "is", "are" or an article, and before "of", "or" or "and".
    """
    clause = re.split(r"[\n.,!]", text.replace('"', "").strip())[0].lower()
    for before in ("is ", "are ", "a ", "an ", "the "):
        parts = clause.split(before)
        clause = parts[min(1, len(parts) - 1)]
    for after in (" of", " or ", " and "):
        clause = clause.split(after)[0]
    return clause.strip()


def _misspelt() -> Iterator[tuple[str, str]]:
    """Each contraction with one apostrophe left out."""
    for word in _CONTRACTIONS:
        for place in (match.start() for match in re.finditer("'", word)):
            yield word[:place] + word[place + 1 :], word


_APOSTROPHES = {**dict(_misspelt()), "somebody'd": "somebodyd"}
