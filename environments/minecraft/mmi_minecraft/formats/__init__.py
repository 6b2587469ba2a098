"""Blueprints in the files that people have: the end of a file's name says which form it has.

Files are read as untrusted: how much is unpacked, how deep and how wide it may be is bounded before it is.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mmi_agent.errors import ConfigError, MMIError, UnknownNameError
from mmi_agent.whole_file import write_whole
from mmi_minecraft.block_table import NEWEST, block_names, data_versions
from mmi_minecraft.blueprint import MAX_CELLS, Blueprint
from mmi_minecraft.formats.functions import read_function, write_function
from mmi_minecraft.formats.levels import read_levels, write_levels
from mmi_minecraft.formats.litematic import read_litematic, write_litematic
from mmi_minecraft.formats.nbt import MAX_FILE_BYTES
from mmi_minecraft.formats.sponge import read_sponge, write_sponge, write_sponge_2
from mmi_minecraft.formats.structure import read_structure, write_structure

__all__ = ["FORMATS", "check_version", "read_blueprint", "write_blueprint"]


class _Format(NamedTuple):
    """A form of file.

    Attributes:
        read: Makes a blueprint of a file's content; at most so many cells.
        write: Makes a file's content; for servers of the version with that number.
    """

    read: Callable[[bytes, int], Blueprint]
    write: Callable[[Blueprint, int], bytes]


FORMATS: dict[str, _Format] = {
    ".schem": _Format(read_sponge, write_sponge),
    ".litematic": _Format(read_litematic, write_litematic),
    ".nbt": _Format(read_structure, write_structure),
    ".mcfunction": _Format(read_function, write_function),
    ".json": _Format(read_levels, write_levels),
}
"""The forms by the end of a file's name."""


def read_blueprint(path: Path, *, max_cells: int = MAX_CELLS) -> Blueprint:
    """Reads a blueprint.

    Args:
        path: The file.
        max_cells: More are refused.

    Raises:
        ConfigError: If the file is of no known form, damaged, too large, or of more cells.
        UnknownNameError: If it has a block that no known version has.
        OSError: If it cannot be opened.
    """
    form = _form(path)
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: the file has more than {MAX_FILE_BYTES >> 20} MiB")
    try:
        blueprint = form.read(data, max_cells)
    except MMIError as error:
        raise type(error)(f"{path}: {error}") from error
    return blueprint if blueprint.name else blueprint.named(path.stem)


def write_blueprint(blueprint: Blueprint, path: Path, *, version: str = NEWEST, sponge: int = 3) -> None:
    """Writes a blueprint, whole or not at all.

    Args:
        blueprint: What is written.
        path: The file; the end of its name says in which form.
        version: Of the servers on which it is to be built.
        sponge: The version of the form `.schem`, 2 or 3.

    Raises:
        ConfigError: If there is no such form, or it cannot hold so much.
        UnknownNameError: If that version does not have one of the blocks.
        OSError: If the file cannot be written.
    """
    form = _form(path)
    if sponge not in (2, 3):
        raise ConfigError(f"the form .schem has no version {sponge!r} that is written here: expected 2 or 3")
    check_version(blueprint, version)
    write = write_sponge_2 if path.suffix == ".schem" and sponge == 2 else form.write
    write_whole(path, write(blueprint, data_versions()[version]))


def check_version(blueprint: Blueprint, version: str) -> None:
    """Refuses a blueprint that a version cannot build.

    Raises:
        UnknownNameError: If the version is not known, or lacks a block; offers the nearest that it has.
    """
    known = set(block_names(version))
    for state in blueprint.palette:
        if state.name not in known:
            raise UnknownNameError.among(f"block in Minecraft {version}", state.name, known)


def _form(path: Path) -> _Format:
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: not a form of blueprints that is known; expected {', '.join(FORMATS)}")
    return FORMATS[path.suffix]
