"""The pictures that a Markdown page names: found where they stand, written, and kept out of what a model wrote.

Knows Markdown and nothing of documents or folders.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.image import image as _image_rule
from markdown_it.token import Token

from mmi_agent.types import Picture

__all__ = [
    "PICTURES",
    "Reference",
    "closed",
    "file_of",
    "find_references",
    "reference_to",
    "without_pictures",
]

PICTURES = "pictures"
_TAG = re.compile("<(?=[A-Za-z/!?])")


class Reference(NamedTuple):
    """A picture that a page names.

    Attributes:
        start: First character of `![...](...)`.
        end: The character after it.
        line: Its line, counted from 1.
        alt: What stands for it, as it is written.
        title: What is shown beside it, maybe nothing.
        target: Where it is.
    """

    start: int
    end: int
    line: int
    alt: str
    title: str
    target: str


def find_references(markdown: str) -> list[Reference]:
    r"""Finds the pictures of a page in reading order; what stands in code, in HTML or in a picture's words is text.

    Args:
        markdown: With "\n" as the only line end.
    """
    lines = markdown.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    return [
        reference
        for token in _parser().parse(markdown)
        if token.type == "inline" and token.map
        for reference in _references_of(token, token.map[0], lines, starts)
    ]


def _references_of(block: Token, first_line: int, lines: Sequence[str], starts: Sequence[int]) -> Iterator[Reference]:
    """Maps places in a block's content, whose lines have lost quote marks and indents, to places in the page."""
    content = block.content.split("\n")

    def place(offset: int) -> tuple[int, int]:
        before = block.content[:offset]
        row = before.count("\n")
        column = offset - (before.rfind("\n") + 1)
        stripped = content[row].strip()
        lead = len(content[row]) - len(content[row].lstrip())
        return first_line + row, starts[first_line + row] + lines[first_line + row].rfind(stripped) + column - lead

    for token in block.children or []:
        if token.type == "image":
            line, start = place(token.meta["start"])
            _, last = place(token.meta["end"] - 1)
            target = unquote(str(token.attrs["src"]))
            yield Reference(start, last + 1, line + 1, token.content, str(token.attrs.get("title", "")), target)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark")
    parser.inline.ruler.at("image", _image_with_place)
    parser.validateLink = _any_link  # what must not be read is refused by name, instead of passing for text
    return parser


def _any_link(url: str) -> bool:
    return True


def _image_with_place(state: StateInline, silent: bool) -> bool:
    start = state.pos
    found = _image_rule(state, silent)
    if found and not silent:
        state.tokens[-1].meta = {"start": start, "end": state.pos}
    return found


def file_of(digest: str) -> str:
    """Where the picture of a digest stands, beside the page."""
    return f"{PICTURES}/{digest}.png"


def reference_to(picture: Picture) -> str:
    """A picture as a page of ours names it."""
    return f"![{picture.origin}]({file_of(picture.digest)})"


def without_pictures(text: str, *, after: str = "") -> str:
    """What a model wrote, made to name no picture and to hold no HTML: a page loads what was drawn and nothing else.

    Args:
        text: What it wrote.
        after: What stands before it.
    """
    kept = _TAG.sub("&lt;", text).replace("![", "!\\[")  # no backslash, which another before it would undo
    completes = (after.endswith("!") and kept.startswith("[")) or (after.endswith("<") and _TAG.match(f"<{kept}"))
    return f"\\{kept}" if completes else kept


def closed(markdown: str) -> str:
    """Ends the paragraph, and the code that a fence left open, so that a picture can follow."""
    markdown = f"{markdown.rstrip(chr(10))}\n\n"
    last = _parser().parse(f"{markdown}.")[-1]
    return f"{markdown}{last.markup}\n\n" if last.type == "fence" else markdown
