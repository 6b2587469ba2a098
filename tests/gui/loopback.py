"""A real web server on the loopback, and short words for what tests do with a browser."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from mmi_gui import BrowserEnvironment

from mmi_agent.pictures import MemoryPictures
from mmi_agent.tool import invoke
from mmi_agent.types import Element, Observation, Outcome

Answer = str | tuple[int, dict[str, str], str]


class Site:
    """A real web server on the loopback: pages by path, and the paths that were asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.hits: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.hits.append(self.path)
                answer = site.pages.get(self.path.partition("?")[0])
                status, headers, body = (
                    (404, {}, "nothing here")
                    if answer is None
                    else (200, {}, answer)
                    if isinstance(answer, str)
                    else answer
                )
                data = body.encode("utf-8", "surrogatepass")
                self.send_response(status)
                for name, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.do_GET()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Browsing:
    """A browser environment with short words for what tests do with it."""

    def __init__(self, environment: BrowserEnvironment) -> None:
        self.environment = environment
        self.pictures = MemoryPictures()
        self.seen: Observation = environment.reset("look around", pictures=self.pictures)
        self.told = self.seen.text

    def look(self) -> Observation:
        self.seen = self.environment.observe()
        self.told += self.seen.text
        return self.seen

    def find(self, name: str, role: str | None = None) -> Element:
        found = [e for e in self.seen.elements if name in e.name and role in (None, e.role)]
        assert found, f"no {role or 'element'} {name!r} in {[(e.role, e.name) for e in self.seen.elements]}"
        return found[0]

    def do(self, tool: str, **arguments: Any) -> Outcome:
        outcome = invoke({t.name: t for t in self.environment.tools}[tool], arguments)
        self.told += outcome.text
        self.look()
        return outcome

    def click(self, name: str, role: str | None = None) -> Outcome:
        return self.do("click", mark=self.find(name, role).mark)
