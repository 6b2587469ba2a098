"""An agent as a node of a LangGraph graph: interrupted before what cannot be undone, approved, resumed.

    python examples/langgraph_agent.py
    python examples/langgraph_agent.py --model small --env gui/miniwob:click-test
    python examples/langgraph_agent.py --inline

The graph has two nodes. `decide` lets the chat model write one call; `act` carries it out in a world of ours, which
asks before a consequential call by interrupting the graph. The state is checkpointed after every node. Pictures stand
in it by digest and their bytes in a folder, each once; with `--inline` they stand in it as base64, to compare sizes.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from mmi_agent.integrations.chat import ChatMMInterleaved
from mmi_agent.integrations.toolkit import EnvironmentToolkit, ask_by_interrupt
from mmi_agent.pictures import FolderPictures
from mmi_agent.testing import EchoEnvironment

_LATEST = 6  # messages that the model reads after the task: calls and what came of them, so an even number


def build_graph(chat: ChatMMInterleaved, toolkit: EnvironmentToolkit, *, max_calls: int) -> Any:
    """A graph that decides and acts in turns, until the world has given its verdict or the calls are used up."""
    tools = toolkit.get_tools()
    model = chat.bind_tools(tools, tool_choice="any")

    def decide(state: MessagesState) -> dict[str, Any]:
        made = sum(isinstance(message, AIMessage) for message in state["messages"])
        first, *later = state["messages"]
        return {"messages": [model.invoke([first, *later[-_LATEST:]], seed=made)]}

    def goes_on(state: MessagesState) -> str:
        made = sum(isinstance(message, AIMessage) for message in state["messages"])
        return END if toolkit.verdict or made >= max_calls else "decide"

    graph: Any = StateGraph(MessagesState)
    graph.add_node("decide", decide)
    graph.add_node("act", ToolNode(tools))
    graph.add_edge(START, "decide")
    graph.add_edge("decide", "act")
    graph.add_conditional_edges("act", goes_on)
    return graph.compile(checkpointer=InMemorySaver())


def checkpointed_bytes(saver: InMemorySaver) -> int:
    """What the checkpoints of all threads take: the values of the channels, each version once, and pending writes."""
    values = sum(len(data) for _, data in saver.blobs.values())
    return values + sum(len(write[2][1]) for writes in saver.writes.values() for write in writes.values())


def run(model: str, env: str | None, *, inline: bool, seed: int, max_calls: int, folder: Path) -> dict[str, Any]:
    """Runs the graph, approves what it asks about, and returns what came of it."""
    store = FolderPictures(folder)
    chat = ChatMMInterleaved(model=model, pictures=0, max_tokens=96, temperature=1.0, store=None if inline else store)
    fields: dict[str, Any] = {"store": store, "inline": inline, "approver": ask_by_interrupt}
    toolkit = EnvironmentToolkit.named(env, **fields) if env else EnvironmentToolkit(make=EchoEnvironment, **fields)
    try:
        first = HumanMessage([*toolkit.reset(seed=seed)])
        graph = build_graph(chat, toolkit, max_calls=max_calls)
        config: Any = {"configurable": {"thread_id": "1"}}
        state = graph.invoke({"messages": [first]}, config)
        asked: list[dict[str, Any]] = []
        while interrupts := state.get("__interrupt__"):
            request = interrupts[0].value
            asked.append(request)
            print(f"asked: {request['tool']} {json.dumps(request['arguments'], ensure_ascii=False)} -> approved")
            state = graph.invoke(Command(resume={"approve": request["digest"]}), config)
        verdict = toolkit.verdict
        shown = sum(block["type"] == "image" for m in state["messages"] for block in m.content_blocks)
        return {
            "messages": len(state["messages"]),
            "pictures": shown,
            "asked": len(asked),
            "verdict": verdict.reason if verdict else None,
            "checkpointed_bytes": checkpointed_bytes(graph.checkpointer),
            "picture_bytes": sum(path.stat().st_size for path in folder.glob("*.png")),
        }
    finally:
        toolkit.close()


def main() -> None:
    """Reads the options and prints what came of the run."""
    parser = argparse.ArgumentParser(description="An agent as a node of a LangGraph graph.")
    parser.add_argument("--model", default="tiny", help="a preset, or a folder of weights")
    parser.add_argument("--env", help="a registered environment; by default a small page of buttons")
    parser.add_argument("--inline", action="store_true", help="keep pictures in the state as base64")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-calls", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(
            options.model,
            options.env,
            inline=options.inline,
            seed=options.seed,
            max_calls=options.max_calls,
            folder=Path(folder) / "pictures",
        )
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
