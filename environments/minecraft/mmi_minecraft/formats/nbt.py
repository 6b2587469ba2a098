"""NBT, the tree of tags in which Minecraft keeps its files: parsed by nbtlib, after it was measured here.

nbtlib believes every length that a file states, and calls itself for every level. So a file is first unpacked up to a
limit, and walked through without building anything.
"""

import zlib
from io import BytesIO
from typing import Any, TypeVar

import nbtlib

from mmi_agent.errors import ConfigError

__all__ = ["MAX_FILE_BYTES", "MAX_TAGS", "expect", "pack", "unpack"]

MAX_FILE_BYTES = 64 << 20
"""Of a file, and of what it unpacks to."""

MAX_TAGS = 1_000_000
"""Each becomes an object of some hundred bytes."""

_MAX_DEPTH = 64
_END, _BYTE_ARRAY, _STRING, _LIST, _COMPOUND, _INT_ARRAY, _LONG_ARRAY = 0, 7, 8, 9, 10, 11, 12
_FIXED = {1: 1, 2: 2, 3: 4, 4: 8, 5: 4, 6: 8}
_ARRAYS = {_BYTE_ARRAY: 1, _INT_ARRAY: 4, _LONG_ARRAY: 8}

_Tag = TypeVar("_Tag")


def unpack(data: bytes) -> nbtlib.File:
    """Parses an untrusted file, packed by gzip or not.

    Raises:
        ConfigError: If it is no NBT, is cut off, or is larger, deeper or wider than the limits.
    """
    plain = _gunzip(data) if data[:2] == b"\x1f\x8b" else data
    _Walk(plain).check()
    try:
        return nbtlib.File.parse(BytesIO(plain))
    except (ValueError, KeyError, TypeError, EOFError) as error:
        raise ConfigError(f"not NBT that can be read: {error}") from error


def pack(root: nbtlib.Compound, name: str = "") -> bytes:
    """A file, packed by gzip; the same tree always gives the same bytes."""
    plain = BytesIO()
    nbtlib.File(root, root_name=name).write(plain)
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return packer.compress(plain.getvalue()) + packer.flush()


def expect(parent: Any, key: str | int, kind: type[_Tag]) -> _Tag:
    """What a tag holds under a name or at a place.

    Raises:
        ConfigError: If it is not there, or of another kind.
    """
    try:
        tag = parent[key]
    except (KeyError, IndexError, TypeError, AttributeError):  # the last from a list that is asked for a name
        raise ConfigError(f"damaged: no {key!r}, which should be {_kind_name(kind)}") from None
    if not isinstance(tag, kind):
        raise ConfigError(f"damaged: {key!r} is {_kind_name(type(tag))}, not {_kind_name(kind)}")
    return tag


def _kind_name(kind: type) -> str:
    return {"int": "a whole number", "str": "a text", "list": "a list", "dict": "a compound"}.get(
        kind.__name__, kind.__name__
    )


def _gunzip(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(data, MAX_FILE_BYTES + 1)
    except zlib.error as error:
        raise ConfigError(f"the packed file is damaged: {error}") from error
    if len(plain) > MAX_FILE_BYTES:
        raise ConfigError(f"the file unpacks to more than {MAX_FILE_BYTES >> 20} MiB")
    if not unpacker.eof:
        raise ConfigError("the packed file is cut off")
    return plain


class _Walk:
    """Goes through a tree of tags without building it.

    `_open` holds, for each level, the kind and number of tags that are still to come; a compound's number is unknown.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._tags = 0
        self._open: list[tuple[int, int]] = []

    def check(self) -> None:
        """Raises ConfigError if the tree is larger, deeper or wider than the limits, or does not end."""
        if self._number(1) != _COMPOUND:
            raise ConfigError("not NBT: it does not begin with a compound")
        self._skip(self._number(2))
        self._enter(_COMPOUND, 0)
        while self._open:
            kind, left = self._open.pop()
            if kind == _COMPOUND:
                tag = self._number(1)
                if tag != _END:
                    self._open.append((kind, left))
                    self._skip(self._number(2))
                    self._payload(tag)
            elif left:
                self._open.append((kind, left - 1))
                self._payload(-kind)

    def _payload(self, tag: int) -> None:
        self._count(1)
        if tag in _FIXED:
            self._skip(_FIXED[tag])
        elif tag == _STRING:
            self._skip(self._number(2))
        elif tag in _ARRAYS:
            self._skip(self._length() * _ARRAYS[tag])
        elif tag == _COMPOUND:
            self._enter(_COMPOUND, 0)
        elif tag == _LIST:
            self._list(self._number(1), self._length())
        else:
            raise ConfigError(f"not NBT: there is no kind of tag {tag}")

    def _list(self, tag: int, length: int) -> None:
        if tag in _FIXED:
            self._count(length)
            self._skip(length * _FIXED[tag])
        elif length and tag == _END:
            raise ConfigError(f"not NBT: a list of {length} tags that are none")
        elif length:
            self._enter(-tag, length)

    def _enter(self, kind: int, length: int) -> None:
        if len(self._open) >= _MAX_DEPTH:
            raise ConfigError(f"the tags stand in one another more than {_MAX_DEPTH} deep")
        self._open.append((kind, length))

    def _count(self, tags: int) -> None:
        self._tags += tags
        if self._tags > MAX_TAGS:
            raise ConfigError(f"the file has more than {MAX_TAGS:,} tags")

    def _length(self) -> int:
        length = int.from_bytes(self._take(4), "big", signed=True)
        if length < 0:
            raise ConfigError(f"not NBT: a length of {length}")
        return length

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._skip(size)
        return taken

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise ConfigError(f"the file is cut off: it ends after {len(self._data):,} bytes, in the middle of a tag")
