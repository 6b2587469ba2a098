"""A page of pictures side by side, to look at: one file that needs nothing else."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from mmi_agent.whole_file import write_whole

__all__ = ["PictureRow", "write_picture_page"]


class PictureRow(NamedTuple):
    """Pictures that stand beside each other."""

    caption: str
    pictures: tuple[bytes, ...]
    """PNG files."""


def write_picture_page(
    path: Path, *, title: str, said: Sequence[str], heads: Sequence[str], rows: Sequence[PictureRow]
) -> None:
    """Writes the page.

    Args:
        path: The file; it is replaced.
        title: Of the page.
        said: Paragraphs before the pictures.
        heads: What stands above each column.
        rows: As many pictures each as there are heads.

    Raises:
        OSError: If it cannot be written.
    """
    above = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "\n".join(map(_row, rows))
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>
<style>body {{ font: 15px system-ui, sans-serif; margin: 2em }} table {{ border-spacing: 12px 4px }}
th {{ text-align: left }} img {{ width: 320px; height: 320px; border: 1px solid #ccc; image-rendering: pixelated }}
td.said {{ padding-top: 1em; color: #444; white-space: pre-wrap; max-width: 1000px }}</style>
<h1>{escape(title)}</h1>
{"".join(f"<p>{escape(line)}</p>" for line in said)}
<table><tr>{above}</tr>
{body}
</table>
</html>
"""
    write_whole(path, page.encode())


def _row(row: PictureRow) -> str:
    said = f'<tr><td class="said" colspan="{len(row.pictures)}">{escape(row.caption)}</td></tr>' if row.caption else ""
    images = "".join(
        f'<td><img alt="" src="data:image/png;base64,{b64encode(png).decode()}"></td>' for png in row.pictures
    )
    return f"{said}<tr>{images}</tr>"
