"""Files that only grow: each line sealed with its own digest, on the disk before anybody goes on, one writer at a time.

Used by the trajectory and by the memory, whose records differ and whose promises do not.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["lock_now", "seal", "sealed_line", "sync_folder", "unsealed", "write_all"]


def seal(body: bytes) -> bytes:
    """Puts the digest of a JSON object at its end, as one more key."""
    return body[:-1] + b',"sha256":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


def sealed_line(record: Mapping[str, Any]) -> bytes:
    """Writes a record as a sealed line, without its newline."""
    return seal(json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode())


def unsealed(line: bytes) -> bytes | None:
    """The JSON object without its seal; None if the seal is missing or broken."""
    body = line.rpartition(b',"sha256":"')[0] + b"}"
    return body if seal(body) == line else None


def lock_now(file: int) -> bool:
    """Takes the lock of an open file for this process; whether it was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_all(file: int, data: bytes) -> None:
    """Writes all of it, however little the system takes at once."""
    while data:
        data = data[os.write(file, data) :]


def sync_folder(folder: Path) -> None:
    """Brings to the disk which files a folder holds."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
