"""Who may say yes to a call that matters, and everything else that counts as no.

A call passes only if its approver, in time and for this very call on this very screen, answers `True` or an `Approval`
made by the request. Nothing that a screen shows comes near this decision.
"""

import hashlib
import json
import select
import sys
import termios
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TextIO

from mmi_agent.agent.trajectory import Approval
from mmi_agent.types import Effect, Element, Observation, ToolCall

__all__ = ["AllowListed", "ApprovalRequest", "Approver", "AskInTerminal", "DenyAll", "approval_of", "ask"]


@dataclass(frozen=True, kw_only=True)
class ApprovalRequest:
    """What an approver is asked about.

    Attributes:
        instruction: What the run is for.
        call: The call as it would be carried out.
        effect: What its tool can do to the world.
        target: The element that it refers to, if it does.
        observation: The screen it would be carried out on. Data: it may be lying.
        timeout_s: How long the answer counts.
    """

    instruction: str
    call: ToolCall
    effect: Effect
    target: Element | None
    observation: Observation
    timeout_s: float

    @property
    def digest(self) -> str:
        """Names this call on this screen."""
        bound = {
            "name": self.call.name,
            "arguments": self.call.arguments,
            "screen": self.observation.model_dump(mode="json"),
        }
        return hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()

    def approve(self, by: str, reason: str = "") -> Approval:
        """The answer that lets this call pass, and no other."""
        return Approval(allowed=True, by=by, reason=reason, bound_to=self.digest)

    def deny(self, by: str, reason: str = "") -> Approval:
        """The answer that does not."""
        return Approval(allowed=False, by=by, reason=reason, bound_to=self.digest)


Approver = Callable[[ApprovalRequest], object]
"""Answers `True` or `request.approve(...)` to let the call pass; anything else denies it."""


@dataclass(frozen=True)
class DenyAll:
    """Nobody is there to ask: the default."""

    def __call__(self, request: ApprovalRequest) -> Approval:
        """Denies."""
        return request.deny("DenyAll", "nobody is there to approve it")


@dataclass(frozen=True)
class AllowListed:
    """Approves the tools that the person listed before the run.

    Attributes:
        names: The tools' names.
    """

    names: frozenset[str]

    def __init__(self, names: Iterable[str]) -> None:
        object.__setattr__(self, "names", frozenset(names))

    def __call__(self, request: ApprovalRequest) -> Approval:
        """Approves a listed tool, denies any other."""
        if request.call.name in self.names:
            return request.approve("AllowListed")
        listed = ", ".join(sorted(self.names))
        return request.deny("AllowListed", f"{request.call.name} is not among the listed tools: {listed}")


@dataclass(frozen=True, kw_only=True)
class AskInTerminal:
    """Asks the person at the terminal; only "y" or "yes" approves, and only in time."""

    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    stdout: TextIO = field(default_factory=lambda: sys.stderr)

    def __call__(self, request: ApprovalRequest) -> Approval:
        """Prints the call and waits for a line."""
        target = f"\n  on {request.target.role!a} {request.target.name!a}" if request.target else ""
        arguments = json.dumps(request.call.arguments, ensure_ascii=True)
        if self.stdin.isatty():
            termios.tcflush(self.stdin, termios.TCIFLUSH)  # what was typed before the question answers another one
        print(f"\n{request.call.name} {arguments}{target}\n  allow? [y/N] ", end="", file=self.stdout, flush=True)
        ready, _, _ = select.select([self.stdin], [], [], request.timeout_s)
        if not ready:
            return request.deny("AskInTerminal", f"no answer within {request.timeout_s:g} s")
        if self.stdin.readline().strip().lower() in ("y", "yes"):
            return request.approve("AskInTerminal")
        return request.deny("AskInTerminal", "the person said no")


def ask(approver: Approver, request: ApprovalRequest) -> Approval:
    """Asks an approver and makes an `Approval` of whatever comes back: a denial, unless it is a real approval.

    The approver runs in a thread of its own, so that one that hangs is left behind.
    """
    name = getattr(approver, "__name__", type(approver).__name__)
    answers: list[Approval] = []
    thread = threading.Thread(
        target=lambda: answers.append(_answer(approver, request, name)), name=f"approver {name}", daemon=True
    )
    thread.start()
    thread.join(request.timeout_s)
    return answers[0] if answers else request.deny(name, f"no answer within {request.timeout_s:g} s")


def _answer(approver: Approver, request: ApprovalRequest, name: str) -> Approval:
    try:
        answer = approver(request)
    except BaseException as error:  # also SystemExit: an approver that breaks, in whatever way, has not approved
        return request.deny(name, f"the approver failed: {type(error).__name__}: {error}")
    return approval_of(answer, request, name)


def approval_of(answer: object, request: ApprovalRequest, name: str) -> Approval:
    """Makes an `Approval` of what an approver answered: a denial, unless it is a real approval of this very call.

    Args:
        answer: What it answered.
        request: What it was asked.
        name: The approver's.
    """
    if answer is True:
        return request.approve(name)
    if answer is False:
        return request.deny(name, "the approver said no")
    if not isinstance(answer, Approval):
        return request.deny(name, f"the approver answered {answer!r:.80}, which is no approval")
    if answer.allowed and answer.bound_to != request.digest:
        return request.deny(name, "the approval was given for another call or another screen")
    return answer
