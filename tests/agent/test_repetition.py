"""Circles are noticed, and what merely looks like one is not."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from mmi_agent import MemoryPictures, Observation, Picture
from mmi_agent.agent.repetition import Look
from mmi_agent.testing import EchoEnvironment, ScriptedPolicy
from tests.agent.worlds import FilmEnvironment, button, run

SAME = [("click", {"mark": 1})] * 12


def film(show: Callable[[int], Observation]) -> FilmEnvironment:
    return FilmEnvironment(lambda _looks, acted: show(acted))


def test_the_same_call_on_the_same_screen_is_first_advised_against_then_refused_then_stuck(tmp_path: Path) -> None:
    policy, world = ScriptedPolicy(SAME), film(lambda _: Observation(elements=(button(1, "Go"),)))
    left = run(policy, world, tmp_path)
    assert (left.status, left.steps, len(world.acted)) == ("stuck", 6, 3)
    assert [bool(context.advice) for context in policy.contexts] == [False, False, False, True, True, True]
    assert 'You made the call click {"mark": 1} 3 times' in policy.contexts[3].advice
    assert "try something else" in policy.contexts[4].steps[-1].outcome.text


def test_a_circle_of_two_screens_is_a_circle(tmp_path: Path) -> None:
    world = film(lambda acted: Observation(elements=(button(1, f"Tab {acted % 2}"),)))
    left = run(ScriptedPolicy([("click", {"mark": 1})] * 30), world, tmp_path, limits={"max_steps": 30})
    assert left.status == "stuck"


PROGRESS: list[Callable[[int], Observation]] = [
    lambda acted: Observation(elements=(button(1, "Row", 900 - 20 * acted),)),  # a long page scrolls
    lambda acted: Observation(text=f"page {acted} of 40", elements=(button(1, "Next"),)),
    lambda acted: Observation(text=f"alarm at 10:{acted:02}", elements=(button(1, "+"),)),  # faster than a clock
]


@pytest.mark.parametrize("show", PROGRESS)
def test_legitimate_repetition_is_left_alone(show: Any, tmp_path: Path) -> None:
    policy, world = ScriptedPolicy(SAME), film(show)
    left = run(policy, world, tmp_path)
    assert (left.status, len(world.acted)) == ("max_steps", 12)
    assert not any(context.advice for context in policy.contexts)


def test_pictures_alone_tell_a_long_canvas_from_a_still_one(tmp_path: Path) -> None:
    class Canvas(EchoEnvironment):
        def observe(self) -> Observation:
            return super().observe().model_copy(update={"elements": (), "text": ""})

    scrolling = [("scroll", {"rows": 1})] * 5
    assert run(ScriptedPolicy(scrolling), Canvas(), tmp_path / "moves").status == "finished"
    assert run(ScriptedPolicy(scrolling * 3), Canvas(), tmp_path / "bottom").status == "stuck"


def drawn(store: MemoryPictures, clock: str, *, page: str = "white") -> Picture:
    image = Image.new("RGB", (800, 600), page)
    ImageDraw.Draw(image).text((700, 10), clock, fill="black")
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return store.put(buffer.getvalue())


@pytest.mark.parametrize(
    ("then", "now", "passed_s", "page", "same"),
    [
        ("12:00:00", "12:00:09", 9, "white", True),
        ("23:59:58", "00:00:03", 5, "white", True),
        ("12:00", "12:01", 20, "white", True),
        ("12:00:00", "12:05:00", 9, "white", False),  # somebody sets the time
        ("12:00:00", "12:00:09", 9, "gray", False),  # more than the clock changed
    ],
)
def test_a_ticking_clock_changes_nothing(then: str, now: str, passed_s: float, page: str, same: bool) -> None:
    store = MemoryPictures()
    earlier = Observation(pictures=(drawn(store, then),), text=f"It is {then}.")
    later = Observation(pictures=(drawn(store, now, page=page),), text=f"It is {now}.")
    assert Look.of(later, at_s=100 + passed_s).same_as(Look.of(earlier, at_s=100), store) is same
