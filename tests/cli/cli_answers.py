"""What a command says, for tests."""

from collections.abc import Callable
from typing import NamedTuple


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Mmi = Callable[..., Answer]
