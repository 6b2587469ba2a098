"""A real HTTP endpoint on loopback that speaks the chat-completions protocol of OpenAI, from a script."""

import json
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the endpoint answers once.

    Attributes:
        text: The message's text.
        calls: Name and JSON of the arguments, as the model wrote them.
        status: Of HTTP; anything but 200 is an error.
        delay_s: How long it takes.
        retry_after: A header.
    """

    text: str = ""
    calls: Sequence[tuple[str, str]] = ()
    status: int = 200
    delay_s: float = 0.0
    retry_after: str = ""

    def body(self, model: str) -> dict[str, Any]:
        if self.status != 200:
            return {"error": {"message": f"scripted {self.status}", "type": "server_error", "code": None}}
        calls = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for n, (name, arguments) in enumerate(self.calls)
        ]
        message = {"role": "assistant", "content": self.text or None, **({"tool_calls": calls} if calls else {})}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
            "usage": {
                "prompt_tokens": 50,
                "completion_tokens": 7,
                "total_tokens": 57,
                "prompt_tokens_details": {"cached_tokens": 20},
            },
        }


@dataclass
class Endpoint:
    """The endpoint: what it will answer (the last for ever), and what it was asked."""

    replies: list[Reply]
    url: str = ""
    asked: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def next(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def serving(*replies: Reply) -> Generator[Endpoint]:
    endpoint = Endpoint([*replies])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.asked.append(asked)
            reply = endpoint.next()
            time.sleep(reply.delay_s)
            data = json.dumps(reply.body(asked["model"])).encode()
            try:
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                if reply.retry_after:
                    self.send_header("Retry-After", reply.retry_after)
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                return  # the client gave up

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
