"""The only way out of the browser: a proxy on the loopback that connects to allowed origins and to nothing else.

Chromium sends everything through it: pages, redirects, frames, fetches, web sockets, workers, pings, prefetches. What
the allow-list does not hold is never resolved or connected to. What is said in a tunnel stays private.
"""

import asyncio
import contextlib
from collections import Counter
from urllib.parse import urlsplit

from mmi_gui.origins import AllowList, origin_of

__all__ = ["Gate"]

_MAX_HEAD_BYTES = 256 * 1024
_TIMEOUT_S = 30
_ERRANDS = {"connectivitycheck.gstatic.com", "content-autofill.googleapis.com"}  # Chromium's own, no page's doing
_HOP_BY_HOP = ("proxy-", "connection:", "keep-alive:")


class Gate:
    """A forward proxy with an allow-list.

    Attributes:
        blocked: How often each origin that is not allowed was asked for; the reader clears it.
        unreachable: Why an allowed host could not be connected to, by "host:port".
    """

    def __init__(self, allowed: AllowList) -> None:
        self.allowed = allowed
        self.blocked: Counter[str] = Counter()
        self.unreachable: dict[str, str] = {}
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """Where it listens, as Chromium wants it."""
        assert self._server is not None, "open() comes first"
        return "http://{}:{}".format(*self._server.sockets[0].getsockname())

    async def open(self) -> None:
        """Starts to listen, on a free port of the loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_MAX_HEAD_BYTES)

    async def close(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broken = (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
        try:
            with contextlib.suppress(*broken):
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _TIMEOUT_S)
                method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
                if method == "CONNECT":
                    await self._tunnel(target, reader, writer)
                else:
                    await self._forward(method, target, head, reader, writer)
        finally:
            writer.close()

    async def _tunnel(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(f"//{target}")
        host, port = parts.hostname or "", parts.port or 443
        if not self.allowed.permits_host(host, port):
            self._count(host, f"https://{host}" if port == 443 else f"{host}:{port}")
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        upstream = await self._connect(host, port)
        if upstream is None:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
        await asyncio.gather(_pipe(reader, upstream[1]), _pipe(upstream[0], writer))

    async def _forward(
        self, method: str, target: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        origin = origin_of(target)
        if origin is None or not self.allowed.permits(target):
            self._count(origin.host if origin else "", str(origin or target[:80]))
            # "no content" leaves the page that asked where it is, also where a redirect led here
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            return
        upstream = await self._connect(origin.host, origin.port)
        if upstream is None:
            return
        request, body_bytes = _rewritten(method, target, head)
        upstream[1].write(request)
        # one request a connection, and no more of the body than it announces: what follows could be for another host
        await asyncio.gather(_pipe(reader, upstream[1], body_bytes), _pipe(upstream[0], writer))

    def _count(self, host: str, shown: str) -> None:
        if host not in _ERRANDS:
            self.blocked[shown] += 1

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            connection = await asyncio.wait_for(asyncio.open_connection(host, port), _TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            self.unreachable[f"{host}:{port}"] = getattr(error, "strerror", None) or type(error).__name__
            return None
        self.unreachable.pop(f"{host}:{port}", None)
        return connection


def _rewritten(method: str, target: str, head: bytes) -> tuple[bytes, int]:
    """The request as its own server wants it, and the length of the body that follows."""
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    kept = [line for line in lines if not line.lower().startswith(_HOP_BY_HOP)]
    lengths = [line.partition(":")[2] for line in kept if line.lower().startswith("content-length:")]
    request = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""])
    return request.encode("latin-1"), int(lengths[0]) if lengths else 0


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None = None) -> None:
    """Copies until the end, or `limit` bytes, and tells the other side that no more will come."""
    left = limit
    try:
        while left is None or left > 0:
            data = await reader.read(65536 if left is None else min(left, 65536))
            if not data:
                break
            writer.write(data)
            await writer.drain()
            left = None if left is None else left - len(data)
        if limit is None:
            writer.write_eof()
    except OSError:
        writer.close()
