"""Which addresses a browser may reach: the allow-list of origins, as the user states it.

Only says yes or no. `gate` keeps the network to it, `tabs` keeps the pages to it.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from mmi_agent.errors import ConfigError

__all__ = ["AllowList", "Origin", "origin_of"]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_WITHOUT_NETWORK = ("about", "blob", "data")  # made by a page that is allowed, and confined like it


@dataclass(frozen=True)
class Origin:
    """A place that may be reached: scheme, host and port, or a folder of files.

    Attributes:
        scheme: "http", "https" or "file".
        host: The host in ASCII; "*.example.org" stands for every host below example.org. A folder's path for "file".
        port: The port; 0 for "file".
    """

    scheme: str
    host: str
    port: int = 0

    def __str__(self) -> str:
        if self.scheme == "file":
            return f"file://{self.host}"
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{shown}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """Reads an origin or any address within it; a bare host means https.

        Raises:
            ConfigError: If it is neither http, https nor a file that exists, or stands for no host that there can be.
        """
        parts = _split(text if "://" in text else f"https://{text}")
        if parts is None or parts.scheme not in ("http", "https", "file"):
            raise ConfigError(f"{text!r} is no address: expected http://host, https://host or file:///folder/")
        if parts.scheme == "file":
            return cls("file", str(_folder(parts, text)))
        host, port = _host_and_port(parts)
        if not (parts.hostname or "").isascii():
            raise ConfigError(f"{text!r} has a host beyond ASCII: write it as browsers send it, with xn-- in front")
        if not host:
            raise ConfigError(f"{text!r} names no host")
        if "*" in host.removeprefix("*."):
            raise ConfigError(f"{text!r} has a * that stands for nothing: expected one in front, as in *.example.org")
        return cls(parts.scheme, host, port)

    def holds(self, other: "Origin") -> bool:
        """Whether `other` is this origin or lies below its wildcard or folder."""
        if self.scheme != other.scheme or self.port != other.port:
            return False
        if self.scheme == "file":
            return Path(other.host).is_relative_to(self.host)
        return self.holds_host(other.host)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine: a file, or a loopback host."""
        if self.scheme == "file" or self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        with suppress(ValueError):
            return ip_address(self.host).is_loopback
        return False

    def holds_host(self, host: str) -> bool:
        """Whether that host is this one or lies below its wildcard."""
        return host == self.host or (self.host.startswith("*.") and host.endswith(self.host[1:]))


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts


def _folder(parts: SplitResult, text: str) -> Path:
    """The folder that the address of a file allows: a mistyped one must not allow the folder around it."""
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(f"{text!r} names the host {parts.netloc!r}: expected three slashes, as in file:///folder/")
    written = unquote(parts.path)
    path = Path(written)
    if not os.path.exists(path) or (written.endswith("/") and not path.is_dir()):
        raise ConfigError(f"{text!r} does not exist: expected a folder, or a file in the folder that is meant")
    return (path if path.is_dir() else path.parent).resolve()


def _host_and_port(parts: SplitResult) -> tuple[str, int]:
    """The host in lower case, empty where it is not in ASCII, as every host is that a browser asks for."""
    host = (parts.hostname or "").rstrip(".")
    return host if host.isascii() else "", parts.port or _PORTS[parts.scheme]


def origin_of(address: str) -> Origin | None:
    """The origin of an address as a browser writes it (ws counts as http); None where there is none to reach."""
    parts = _split(address)
    if parts is None or parts.scheme not in ("http", "https", "ws", "wss", "file"):
        return None
    if parts.scheme == "file":
        return Origin("file", str(Path(unquote(parts.path)).resolve()))
    host, port = _host_and_port(parts)
    return Origin(parts.scheme.replace("ws", "http"), host, port) if host else None


@dataclass(frozen=True)
class AllowList:
    """The origins that may be reached; nothing else may."""

    origins: tuple[Origin, ...]

    @classmethod
    def of(cls, addresses: Iterable[str]) -> "AllowList":
        """Makes the list from origins or addresses, in order and each once.

        Raises:
            ConfigError: If one of them is no address.
        """
        return cls(tuple(dict.fromkeys(Origin.parse(address) for address in addresses)))

    @property
    def is_local(self) -> bool:
        """Whether all of them are on this machine."""
        return all(origin.is_local for origin in self.origins)

    def __str__(self) -> str:
        return ", ".join(map(str, self.origins)) or "nothing"

    def permits(self, address: str) -> bool:
        """Whether a page may load that address."""
        if address.partition(":")[0] in _WITHOUT_NETWORK:
            return True
        origin = origin_of(address)
        return origin is not None and any(allowed.holds(origin) for allowed in self.origins)

    def permits_opening(self, address: str) -> bool:
        """Whether that address may be opened as a page of its own: only what lies within an origin."""
        return origin_of(address) is not None and self.permits(address)

    def permits_host(self, host: str, port: int) -> bool:
        """Whether a connection to that host and port may be made, whatever is spoken on it."""
        named = [allowed for allowed in self.origins if allowed.scheme != "file"]
        return any(allowed.port == port and allowed.holds_host(host) for allowed in named)

    def suspects(self) -> re.Pattern[str]:
        """A pattern of the addresses that `permits` must be asked about; the others are allowed for sure.

        It is handed to the browser's side, so that ordinary requests do not wait for this process.
        """
        plain = [str(o) for o in self.origins if o.scheme != "file" and not o.host.startswith("*.")]
        sure = "|".join(re.escape(origin).replace("/", r"\/") for origin in plain)
        return re.compile(rf"^(?!(?:{sure})(?:\/|$))" if sure else "^")
