"""A real MCP server with a counter, a picture and a refusal: over stdio, or over HTTP on a loopback port."""

import sys
from io import BytesIO

from mcp.server.fastmcp import FastMCP, Image
from mcp.types import ToolAnnotations
from PIL import Image as Pillow

server = FastMCP("counter", host="127.0.0.1", port=int(sys.argv[2]) if len(sys.argv) > 2 else 8000)
count = 0


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def add(number: int) -> str:
    """Add to the counter."""
    global count
    count += number
    return f"the counter is at {count}"


@server.tool()
def look() -> Image:
    """Look at the counter."""
    buffer = BytesIO()
    Pillow.new("RGB", (8, 4), (200, 30, 30)).save(buffer, "PNG")
    return Image(data=buffer.getvalue(), format="png")


@server.tool()
def refuse() -> str:
    """Refuse."""
    raise ValueError("the counter is locked")


if __name__ == "__main__":
    server.run("stdio" if sys.argv[1] == "stdio" else "streamable-http")
