"""An environment as a LangChain toolkit: every tool answers with what came of it and with the screen, picture and all.

In a graph of LangChain's our guard does not stand between decision and world. So a tool asks here: a consequential call
passes only if the toolkit's approver says yes to this very call on this very screen. Deny is the default.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from langchain_core.tools import BaseTool, BaseToolkit, StructuredTool
from pydantic import ConfigDict, JsonValue, PrivateAttr

from mmi_agent.agent.approval import ApprovalRequest, Approver, DenyAll, approval_of
from mmi_agent.agent.trajectory import Approval
from mmi_agent.environment import Environment
from mmi_agent.errors import ActionError, ConfigError
from mmi_agent.inference.calls import element_line
from mmi_agent.integrations.messages import image_block, reference_block
from mmi_agent.pictures import MemoryPictures, PictureStore
from mmi_agent.registry import make_environment
from mmi_agent.tool import Tool, argument_marks, effect_of, invoke, parse_arguments
from mmi_agent.types import Observation, Outcome, ToolCall

__all__ = ["EnvironmentToolkit", "ask_by_interrupt"]

T = TypeVar("T")

_ASKED_S = 3600.0


class EnvironmentToolkit(BaseToolkit):
    """The tools of an environment, one episode at a time.

    All that touches the environment happens in one thread, which is also the one that makes it: a browser wants that,
    and LangChain runs tools in whatever thread is free.

    Attributes:
        make: Makes the environment.
        store: Takes the pictures.
        inline: Whether pictures come as base64, or by digest, as a `ChatMMInterleaved` with this store reads them.
        approver: Asked about consequential calls, in the thread that runs the tool.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    make: Callable[[], Any]
    store: Any = None
    inline: bool = True
    approver: Any = None
    _thread: ThreadPoolExecutor = PrivateAttr(
        default_factory=lambda: ThreadPoolExecutor(max_workers=1, thread_name_prefix="environment")
    )
    _environment: Any = PrivateAttr(default=None)
    _seen: Observation = PrivateAttr(default_factory=Observation)

    @classmethod
    def named(cls, name: str, *, options: dict[str, JsonValue] | None = None, **fields: Any) -> "EnvironmentToolkit":
        """The toolkit of a registered environment, as in `named("gui/miniwob:click-test")`.

        Args:
            name: As in `mmi_agent.registry`.
            options: Passed to its class.
            **fields: Of the toolkit.
        """
        return cls(make=lambda: make_environment(name, **(options or {})), **fields)

    def model_post_init(self, context: Any, /) -> None:
        """Fills in a store and an approver where none was given."""
        super().model_post_init(context)
        self.store = MemoryPictures() if self.store is None else self.store
        self.approver = DenyAll() if self.approver is None else self.approver

    # ---- an episode

    def reset(self, task: str | None = None, *, seed: int = 0) -> list[dict[str, Any]]:
        """Begins an episode.

        Args:
            task: What is to be done; None where the environment's own suite says so.
            seed: The same seed gives the same start.

        Returns:
            Content blocks for the first message of the person: what is to be done, and the screen.

        Raises:
            ConfigError: If a task is needed and none was given.
            EnvironmentFailure: If the world cannot be reached.
        """

        def begin() -> list[dict[str, Any]]:
            if self._environment is None:
                self._environment = self.make()
            self._seen = self._environment.reset(task, seed=seed, pictures=self._pictures)
            return [_text(f"Task: {self._environment.instruction}"), *self._screen()]

        return self._in_thread(begin)

    def close(self) -> None:
        """Closes the environment; a second call does nothing."""
        if self._environment is not None:
            self._in_thread(self._environment.close)
            self._environment = None
        self._thread.shutdown()

    @property
    def verdict(self) -> Any:
        """The world's own judgement, once there is one."""
        return self._in_thread(self._world.verdict)

    def get_tools(self) -> list[BaseTool]:
        """The tools; each has its effect in its metadata.

        Raises:
            ConfigError: If no episode was begun: some worlds know their tools only then.
        """
        return [self._tool(tool) for tool in self._in_thread(lambda: list(self._world.tools))]

    @property
    def _world(self) -> Environment:
        if self._environment is None:
            raise ConfigError("no episode was begun: call reset first")
        return cast("Environment", self._environment)

    @property
    def _pictures(self) -> PictureStore:
        return cast("PictureStore", self.store)

    def _in_thread(self, work: Callable[[], T]) -> T:
        return self._thread.submit(work).result()

    # ---- one call

    def _tool(self, tool: Tool) -> BaseTool:
        def run(**arguments: Any) -> list[dict[str, Any]]:
            return self._called(tool, arguments)

        return StructuredTool.from_function(
            run,
            name=tool.name,
            description=tool.description,
            args_schema=tool.args_schema,
            infer_schema=False,
            metadata={"effect": effect_of(tool)},
        )

    def _called(self, tool: Tool, arguments: dict[str, JsonValue]) -> list[dict[str, Any]]:
        refused = self._refused(tool, arguments)

        def act() -> list[dict[str, Any]]:
            outcome = refused or invoke(tool, arguments, self._pictures)
            self._seen = self._world.observe()
            verdict = self._world.verdict()
            judged = [_text(f"The episode is over: {verdict.reason}")] if verdict else []
            shown = [self._image(picture) for picture in outcome.pictures]
            return [_text(f"{outcome.status}. {outcome.text}".strip()), *shown, *judged, *self._screen()]

        return self._in_thread(act)

    def _refused(self, tool: Tool, arguments: dict[str, JsonValue]) -> Outcome | None:
        """Why a call is not carried out: its arguments do not fit, an element is not what it was, nobody approved."""
        try:
            marks = [*argument_marks(parse_arguments(tool, arguments)).values()]
        except ActionError as error:
            return Outcome(status="invalid", text=str(error))
        if (gone := self._in_thread(lambda: self._gone(marks))) is not None:
            return Outcome(status="invalid", text=f"the element {gone} is not there, or not what it was")
        return self._disapproved(tool, arguments, marks) if effect_of(tool) == "consequential" else None

    def _gone(self, marks: Sequence[int]) -> int | None:
        """Looks again; the first of these elements that is not what it was."""
        now = self._world.observe()
        for mark in marks:
            was, found = self._seen.element(mark), now.element(mark)
            if was is None or found is None or (was.role, was.name) != (found.role, found.name):
                return mark
        self._seen = now
        return None

    def _disapproved(self, tool: Tool, arguments: dict[str, JsonValue], marks: Sequence[int]) -> Outcome | None:
        request = ApprovalRequest(
            instruction=self._world.instruction,
            call=ToolCall(name=tool.name, arguments=arguments),
            effect=effect_of(tool),
            target=self._seen.element(marks[0]) if marks else None,
            observation=self._seen,
            timeout_s=_ASKED_S,
        )
        approver = cast("Approver", self.approver)
        answer = approver(request)  # in this thread: a graph is interrupted from here
        approval = approval_of(answer, request, getattr(approver, "__name__", type(approver).__name__))
        return None if approval.allowed else Outcome(status="denied", text=f"not carried out: {approval.reason}")

    # ---- what is shown

    def _screen(self) -> list[dict[str, Any]]:
        lines = ["Screen:", *filter(None, [self._seen.text]), *map(element_line, self._seen.elements)]
        return [*(self._image(picture) for picture in self._seen.pictures), _text("\n".join(lines))]

    def _image(self, picture: Any) -> dict[str, Any]:
        return image_block(picture, self._pictures) if self.inline else reference_block(picture)


def ask_by_interrupt(request: ApprovalRequest) -> Approval:
    """An approver for graphs of LangGraph: interrupts the graph, and takes what it is resumed with for the answer.

    Resume with `Command(resume={"approve": digest})` to let the call pass; `digest` is in the interrupt's value. If the
    screen is another by then, so is the digest of the call, and the answer lets nothing pass.
    """
    from langgraph.types import interrupt

    asked = {
        "tool": request.call.name,
        "arguments": request.call.arguments,
        "effect": request.effect,
        "target": request.target.model_dump(mode="json") if request.target else None,
        "digest": request.digest,
    }
    answer = interrupt(asked)
    said = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    if said.get("approve") == request.digest:
        return request.approve("the person", str(said.get("reason", "")))
    return request.deny("the person", str(said.get("reason") or "the person said no"))


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
