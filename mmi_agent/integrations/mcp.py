"""Tools of MCP servers, as tools of ours: called without async, with their pictures, asked about before they act.

What a server says of its own tools (`readOnlyHint`) is a stranger's word and lowers no effect; the owner may say one.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from langchain_core.tools import BaseTool, ToolException
from langchain_mcp_adapters.sessions import Connection, create_session
from langchain_mcp_adapters.tools import load_mcp_tools
from pydantic import JsonValue

from mmi_agent.errors import ActionError, ConfigError, ToolError, UnknownNameError
from mmi_agent.types import Effect

__all__ = ["McpServer", "McpTool"]

T = TypeVar("T")

_START_S = 30.0


@dataclass(frozen=True, kw_only=True)
class McpTool:
    """One tool of a server.

    Attributes:
        name: Its name, with the server's before it if that was asked for.
        description: What the server says that it does.
        args_schema: The JSON schema of its arguments.
        effect: What it can do to the world: "consequential" unless the owner says otherwise.
        call: Carries it out.
    """

    name: str
    description: str
    args_schema: dict[str, Any]
    effect: Effect
    call: Callable[[dict[str, JsonValue]], Any]

    def invoke(self, input: dict[str, JsonValue], /) -> Any:
        """Carries it out, and returns LangChain's content blocks.

        Raises:
            ActionError: If the server refuses.
            ToolError: If it is gone, or takes too long.
        """
        return self.call(input)


class McpServer:
    """A connection to one MCP server, kept open: what the server remembers lasts as long.

    Use it as a context: `with McpServer({"transport": "stdio", "command": "...", "args": []}) as server`, then hand
    `server.tools` to an `Agent`.

    Args:
        connection: What `langchain_mcp_adapters` takes: a command for "stdio", an address for "http".
        name: Put before each tool's name, with an underscore; empty for nothing.
        effects: What the owner says of tools, by the server's name for them.
        timeout_s: For starting, and for each call.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        *,
        name: str = "",
        effects: Mapping[str, Effect] | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._connection = cast("Connection", dict(connection))
        self._name = name
        self._effects: dict[str, Effect] = dict(effects or {})
        self._timeout_s = timeout_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mcp", daemon=True)
        self._closing: asyncio.Event | None = None
        self._kept: Future[None] | None = None
        self.tools: Sequence[McpTool] = ()

    def __enter__(self) -> Self:
        """Connects, and lists the tools.

        Raises:
            ConfigError: If there is no such server, or it does not answer.
            UnknownNameError: If an effect was declared for a tool that it does not have.
        """
        self._thread.start()
        listed: Future[list[BaseTool]] = Future()
        self._kept = asyncio.run_coroutine_threadsafe(self._keep(listed), self._loop)
        try:
            tools = listed.result(min(self._timeout_s, _START_S))
            if unknown := sorted(self._effects.keys() - {tool.name for tool in tools}):
                raise UnknownNameError.among("tool", unknown[0], [tool.name for tool in tools])
        except UnknownNameError:
            self.close()
            raise
        except BaseException as error:
            self.close()
            if not isinstance(error, Exception):
                raise
            raise ConfigError(f"the MCP server {self._described()} does not answer: {_reason(error)}") from error
        self.tools = [self._tool(tool) for tool in tools]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the connection, and with it a server that was started for it."""
        self.close()

    def close(self) -> None:
        """Ends the connection; a second call does nothing."""
        if self._loop.is_closed():
            return
        if self._closing is not None:
            self._loop.call_soon_threadsafe(self._closing.set)
        if self._kept is not None:
            with suppress(Exception):
                self._kept.result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        if not self._loop.is_running():
            self._loop.close()

    async def _keep(self, listed: "Future[list[BaseTool]]") -> None:
        """Opens the session and closes it in one task, as its cancel scopes demand."""
        self._closing = asyncio.Event()
        try:
            async with AsyncExitStack() as stack:
                session = await stack.enter_async_context(create_session(self._connection))
                await session.initialize()
                listed.set_result(await load_mcp_tools(session, handle_tool_errors=False))
                await self._closing.wait()
        except BaseException as error:
            if not listed.done():
                listed.set_exception(error)
            raise

    def _tool(self, tool: BaseTool) -> McpTool:
        def call(arguments: dict[str, JsonValue]) -> Any:
            return self._wait(tool.ainvoke(arguments), tool.name)

        effect: Effect = self._effects.get(tool.name, "consequential")
        return McpTool(
            name=f"{self._name}_{tool.name}" if self._name else tool.name,
            description=tool.description,
            args_schema=cast("dict[str, Any]", tool.args_schema),
            effect=effect,
            call=call,
        )

    def _wait(self, work: Coroutine[Any, Any, T], name: str) -> T:
        if self._loop.is_closed() or self._kept is None or self._kept.done():
            work.close()
            raise ToolError(f"the MCP server {self._described()} is gone")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(self._timeout_s)
        except ToolException as error:
            raise ActionError(str(error)) from error
        except FutureTimeoutError as error:
            future.cancel()
            raise ToolError(f"{name} took longer than {self._timeout_s:g} s; it may have taken effect") from error
        except KeyboardInterrupt:
            future.cancel()
            raise
        except Exception as error:
            raise ToolError(f"the MCP server {self._described()} failed: {_reason(error)}") from error

    def _described(self) -> str:
        connection = cast("Mapping[str, Any]", self._connection)
        return self._name or str(connection.get("url") or connection.get("command") or "without a name")


def _reason(error: BaseException) -> str:
    """What went wrong first; a group of errors tells only how many there are."""
    if isinstance(error, BaseExceptionGroup):
        return _reason(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
