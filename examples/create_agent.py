"""LangChain's own agent, with MM-Interleaved as its chat model and a world of ours as its tools.

    python examples/create_agent.py
    python examples/create_agent.py --model small --env gui/miniwob:click-test

Every tool answers with a picture of the screen. What cannot be undone is denied unless `--approve` names the tool.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware, ModelRequest, before_model, wrap_model_call
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from mmi_agent.agent.approval import AllowListed
from mmi_agent.integrations.chat import ChatMMInterleaved
from mmi_agent.integrations.toolkit import EnvironmentToolkit
from mmi_agent.testing import EchoEnvironment


@wrap_model_call
def must_call(request: ModelRequest, handler: Callable[[ModelRequest], Any]) -> Any:
    """Wants a call each time: small models would rather talk."""
    return handler(request.override(tool_choice="any"))


def until_judged(toolkit: EnvironmentToolkit) -> Any:
    """Ends the agent once the world has given its verdict."""

    @before_model(can_jump_to=["end"])
    def ended(state: Any, runtime: Any) -> dict[str, Any] | None:
        return {"jump_to": "end"} if toolkit.verdict else None

    return ended


def run(chat: BaseChatModel, env: str | None, *, approved: Sequence[str], seed: int, max_calls: int) -> dict[str, Any]:
    """Lets the agent work on one episode, and returns what came of it."""
    fields: dict[str, Any] = {"approver": AllowListed(approved)}
    toolkit = EnvironmentToolkit.named(env, **fields) if env else EnvironmentToolkit(make=EchoEnvironment, **fields)
    try:
        first = HumanMessage([*toolkit.reset(seed=seed)])
        limit = ModelCallLimitMiddleware(run_limit=max_calls, exit_behavior="end")
        middleware: list[Any] = [until_judged(toolkit), limit, must_call]  # each has a state of its own
        agent: Any = create_agent(chat, toolkit.get_tools(), middleware=middleware)
        messages = agent.invoke({"messages": [first]}, {"recursion_limit": 8 * max_calls})["messages"]
        calls = [call["name"] for m in messages if isinstance(m, AIMessage) for call in m.tool_calls]
        shown = [b for m in messages if isinstance(m, ToolMessage) for b in m.content_blocks if b["type"] == "image"]
        verdict = toolkit.verdict
        return {
            "calls": calls,
            "pictures_in_tool_results": len(shown),
            "verdict": verdict.reason if verdict else None,
            "success": bool(verdict and verdict.success),
        }
    finally:
        toolkit.close()


def main() -> None:
    """Reads the options and prints what came of the run."""
    parser = argparse.ArgumentParser(description="LangChain's agent with MM-Interleaved in a world of ours.")
    parser.add_argument("--model", default="tiny", help="a preset, or a folder of weights")
    parser.add_argument("--env", help="a registered environment; by default a small page of buttons")
    parser.add_argument("--approve", default="", help="tools that may do what cannot be undone, with commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-calls", type=int, default=6)
    options = parser.parse_args()
    chat = ChatMMInterleaved(model=options.model, pictures=0, max_tokens=96, temperature=1.0, seed=options.seed)
    approved = [name for name in options.approve.split(",") if name]
    print(json.dumps(run(chat, options.env, approved=approved, seed=options.seed, max_calls=options.max_calls)))


if __name__ == "__main__":
    main()
