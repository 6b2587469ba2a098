"""Whether an element that a call refers to is still there, and under which mark."""

from mmi_agent.types import Box, Element, Observation

__all__ = ["mark_now"]

_NEAR = 20  # of 1000: about a line of text


def mark_now(target: Element, seen: Observation, fresh: Observation) -> int | None:
    """Finds an element again in a later look at the same world.

    It is the one element of the same role and name near the same place. If there is none near, it is the only one of
    that role and name, provided that it was the only one before as well: then it moved.

    Args:
        target: The element as it was seen.
        seen: The observation that it was seen in.
        fresh: The later look.

    Returns:
        Its mark in `fresh`; None if it is gone or cannot be told from others.
    """
    alike = _alike(target, fresh)
    near = [element for element in alike if _distance(element.box, target.box) <= _NEAR]
    if len(near) > 1:
        near = [element for element in near if element.box == target.box]
    if len(near) == 1:
        return near[0].mark
    if len(alike) == 1 and len(_alike(target, seen)) == 1:
        return alike[0].mark
    return None


def _alike(target: Element, observation: Observation) -> list[Element]:
    return [e for e in observation.elements if (e.role, e.name) == (target.role, target.name)]


def _distance(a: Box, b: Box) -> int:
    return max(abs(p - q) for p, q in zip(a, b, strict=True))
