"""What must come comes, in every budget that can hold it, whatever a writer would rather do."""

import random
from collections.abc import Callable

import pytest

from mmi_agent.errors import ConfigError
from mmi_agent.inference.structure import Choices, Part, Structure

Taste = Callable[[Choices], str]


def written(structure: Structure, budget: int, taste: Taste) -> list[str]:
    """What a writer of that taste writes: stretches of text as "text", and pictures."""
    parts: list[str] = []
    for left in range(budget, -1, -1):
        choices = structure.choices(left)
        assert any(choices)
        wish = taste(choices)
        if wish == "end":
            break
        if wish == "picture":
            structure.drew()
        else:
            structure.wrote(1)
        if wish == "picture" or parts[-1:] != ["text"]:
            parts.append(wish)
    return parts


def fond_of(*wishes: str) -> Taste:
    return lambda choices: next(wish for wish in (*wishes, *Choices._fields) if getattr(choices, wish))


def whimsical(seed: int) -> Taste:
    chance = random.Random(seed)
    return lambda choices: chance.choice([name for name, may in choices._asdict().items() if may])


TASTES = [fond_of("text"), fond_of("picture"), fond_of("end"), *map(whimsical, range(20))]

LISTS: list[list[Part]] = [
    ["text"],
    ["picture"],
    ["text", "picture", "text"],
    ["picture", "picture", "text", "picture"],
    ["text", "picture", "picture"],
]


@pytest.mark.parametrize("parts", LISTS)
def test_a_list_of_parts_comes_as_it_stands(parts: list[Part]) -> None:
    least = Structure.of(parts).least_budget
    assert least == len(parts)
    for budget in (least, least + 1, 7, 40):
        if budget >= least:
            assert all(written(Structure.of(parts), budget, taste) == parts for taste in TASTES), budget


@pytest.mark.parametrize("pictures", [0, 1, 3])
def test_exactly_so_many_pictures_come_in_every_budget(pictures: int) -> None:
    for budget in (pictures, pictures + 1, 2 * pictures + 1, 40):
        for taste in TASTES:
            assert written(Structure.exactly(pictures), budget, taste).count("picture") == pictures, budget


def test_no_stretch_of_text_starves_a_later_one() -> None:
    structure = Structure.of(["text", "picture", "text", "picture", "text"])
    for left in range(32, 0, -1):
        choices = structure.choices(left)
        if not choices.text:
            break
        structure.wrote(1)
    assert structure.choices(22) == Choices(text=False, picture=True, end=False), "a third of 30 is over"


def test_no_more_pictures_than_allowed() -> None:
    assert written(Structure.up_to(2), 10, fond_of("picture")) == ["picture", "picture", "text"]
    assert written(Structure.up_to(0), 10, fond_of("picture")) == ["text"]
    assert written(Structure.up_to(None), 3, fond_of("picture")) == ["picture"] * 3
    assert not Structure.up_to(0).may_draw and Structure.of(["picture"]).may_draw


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Structure.of([]), r"\[\]"),
        (lambda: Structure.of(["text", "text"]), "pictures between"),
        (lambda: Structure.of(["sound"]), "'sound'"),  # pyright: ignore[reportArgumentType]
        (lambda: Structure.exactly(-1), "-1"),
    ],
)
def test_nonsense_is_refused(make: Callable[[], Structure], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
