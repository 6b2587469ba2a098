"""What a policy is shown, under its budget."""

from itertools import pairwise

from mmi_agent import MemoryPictures, Observation, Outcome, PastStep, Text, ToolCall
from mmi_agent.agent.context import TOKENS_PER_PICTURE, past_within
from mmi_agent.testing import EchoEnvironment

ENVIRONMENT = EchoEnvironment()
NOW = ENVIRONMENT.reset(pictures=MemoryPictures())


def past(count: int) -> list[PastStep]:
    return [
        PastStep(
            observation=NOW,
            blocks=(Text(text=f"thought {i}: " + "x" * 400),),
            call=ToolCall(name="scroll", arguments={"rows": 1}),
            outcome=Outcome(text="did it"),
        )
        for i in range(count)
    ]


def shown(count: int, *, tokens: int = 100_000, pictures: int = 100) -> tuple[PastStep, ...]:
    return past_within(
        past(count),
        instruction="Do it.",
        tools=ENVIRONMENT.tools,
        observation=NOW,
        max_tokens=tokens,
        max_pictures=pictures,
    )


def test_everything_stands_where_there_is_room() -> None:
    assert [step.blocks for step in shown(30)] == [step.blocks for step in past(30)]


def test_the_oldest_pictures_go_first_and_their_words_stay() -> None:
    kept = shown(10, pictures=4)
    assert [len(step.observation.pictures) for step in kept] == [0] * 6 + [1] * 4
    assert [step.blocks for step in kept] == [step.blocks for step in past(10)]
    assert all(not step.observation.pictures for step in shown(3, pictures=0))


def test_then_the_oldest_steps_go_and_the_beginning_stays_put_for_a_while() -> None:
    counts = [len(shown(count, tokens=2500)) for count in range(40)]
    assert max(counts) * (100 + TOKENS_PER_PICTURE) < 2500
    drops = sum(later < earlier for earlier, later in pairwise(counts))
    assert 0 < drops <= 40 / 3, f"the beginning moved {drops} times in 40 steps: {counts}"
    assert shown(9, tokens=10) == ()


def test_an_observation_alone_may_exceed_the_budget() -> None:
    huge = Observation(text="x" * 100_000)
    assert past_within(past(2), instruction="", tools=(), observation=huge, max_tokens=100, max_pictures=0) == ()
