"""A continued page as one file of HTML: what was given and what the model wrote, told apart, everything escaped.

Text is shown as it stands, not as Markdown: what a model wrote is data, and makes no link and loads nothing.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mmi_agent.pictures import PictureStore
from mmi_agent.types import Picture, Text
from mmi_agent.viewer.page import render_template

__all__ = ["render_written_page"]


@dataclass(frozen=True)
class _Part:
    kind: Literal["given", "written"]
    blocks: Sequence[Text | Picture]


def render_written_page(
    title: str,
    given: Sequence[Text | Picture],
    written: Sequence[Text | Picture],
    pictures: PictureStore,
    *,
    facts: Mapping[str, str],
    warnings: Sequence[str] = (),
) -> str:
    """Renders a page and its continuation.

    Args:
        title: What the page is called.
        given: The page.
        written: Its continuation.
        pictures: Holds the pictures of both.
        facts: What the reader may want to know of how it was made, by name.
        warnings: What the reader has to know before judging it.
    """
    digests = {block.digest for block in (*given, *written) if isinstance(block, Picture)}
    return render_template(
        "page.html.j2",
        title=title,
        parts=[_Part("given", given), _Part("written", written)],
        images={
            digest: f"data:image/png;base64,{base64.b64encode(pictures.get(digest)).decode()}" for digest in digests
        },
        facts=facts,
        warnings=warnings,
    )
