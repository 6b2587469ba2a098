"""A hub on this machine: the addresses, headers and answers that `huggingface_hub` asks for, over a folder.

The folder holds `OWNER/NAME/FILES`. Files of more than a kilobyte are large files, as the hub tells them apart.
"""

import hashlib
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class ToyHub(ThreadingHTTPServer):
    """Serves a folder.

    Attributes:
        folder: What is served.
        sent_bytes: How much of each file was sent.
        cut_after: After so many bytes of a file the connection is dropped, once for each file.
        lies: What is told instead of a file's hash.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folder = folder
        self.sent_bytes: dict[str, int] = {}
        self.cut_after: int | None = None
        self.lies: dict[str, str] = {}
        self._cut: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def sha256(self, path: Path) -> str:
        return self.lies.get(path.name) or hashlib.sha256(path.read_bytes()).hexdigest()

    def room(self, name: str, size: int) -> int:
        """How much of a file may be sent now."""
        if self.cut_after is None or name in self._cut or size <= self.cut_after:
            return size
        self._cut.add(name)
        return self.cut_after


@contextmanager
def serving(folder: Path) -> Generator[ToyHub]:
    hub = ToyHub(folder)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> ToyHub:
        assert isinstance(self.server, ToyHub)
        return self.server

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._describe(self.hub.folder.joinpath(*parts[2:4]), "/".join(parts[2:4]))
        elif len(parts) > 4 and parts[2] == "resolve":
            self._send(self.hub.folder.joinpath(*parts[:2], *parts[4:]), with_body=with_body)
        else:
            self._fail("EntryNotFound")

    def _describe(self, folder: Path, name: str) -> None:
        if not folder.is_dir():
            self._fail("RepoNotFound")
            return
        siblings = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            size = path.stat().st_size
            lfs = {"sha256": self.hub.sha256(path), "size": size, "pointerSize": 134}
            entry = {"rfilename": path.relative_to(folder).as_posix(), "size": size, "blobId": "0" * 40}
            siblings.append(entry | ({"lfs": lfs} if size > 1000 else {}))
        body = json.dumps({"id": name, "modelId": name, "sha": COMMIT, "private": False, "siblings": siblings}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, path: Path, *, with_body: bool) -> None:
        if not path.is_file():
            self._fail("EntryNotFound")
            return
        content = path.read_bytes()
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if begin else 200)
        self.send_header("ETag", f'"{self.hub.sha256(path)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if with_body:
            rest = content[begin:]
            rest = rest[: self.hub.room(path.name, len(rest))]
            self.wfile.write(rest)
            self.hub.sent_bytes[path.name] = self.hub.sent_bytes.get(path.name, 0) + len(rest)
            self.close_connection = len(rest) < len(content) - begin

    def _fail(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()
