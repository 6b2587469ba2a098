"""What became of an episode that was not solved, in a few kinds."""

from typing import Literal

from mmi_agent.evaluation.results import EpisodeResult

__all__ = ["FAILURES", "Failure", "failure_of"]

Failure = Literal["ended wrong", "gave up", "asked", "out of steps", "in circles", "turned down", "broke"]

FAILURES: dict[Failure, str] = {
    "ended wrong": "the world ended the episode and called it wrong",
    "gave up": "the policy finished before the world called it solved",
    "asked": "the policy asked the person, who was not there",
    "out of steps": "the steps or the time were used up",
    "in circles": "the same call on the same screen, or nothing changed any more",
    "turned down": "most calls were not carried out: invalid, denied or failed",
    "broke": "the worker, the policy or the world broke",
}
"""The kinds, and what they mean."""

_IN_A_ROW = "could not be carried out"  # how the loop says that it ended a run for its invalid calls


def failure_of(result: EpisodeResult) -> Failure | None:
    """The kind of a failure; None if the episode was solved."""
    if result.success:
        return None
    if result.reward is not None:
        return "ended wrong"
    if result.status == "finished":
        return "gave up"
    if result.status == "needs_user":
        return "asked"
    if result.status == "stuck":
        return "in circles"
    if _IN_A_ROW in result.reason or (result.status == "max_steps" and 2 * result.turned_down > result.steps):
        return "turned down"
    return "out of steps" if result.status == "max_steps" else "broke"
