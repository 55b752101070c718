"""A receiver that is strict about what it takes and can misbehave in every way a network knows.

It is ours, built from the published description of each protocol: it proves that requests have the promised shape, not
that the real services take them.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


Answer = Reply | str
"""A reply, or a fault: hang, drip, reset, half (takes the request, then breaks off before answering)."""
Judge = Callable[[Request], Answer]


class StrictReceiver:
    """Answers with `script`'s next entry, else as `judge` says; keeps what was taken and what was seen."""

    def __init__(self, judge: Judge | None = None) -> None:
        self.judge = judge or (lambda request: Reply())
        self.script: list[Answer] = []
        self.seen: list[Request] = []
        self.taken: list[Request] = []
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"receiver": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """Let hanging requests go and stop listening."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: Request) -> Answer:
        """Return what to do with a request, and note it."""
        with self._lock:
            self.seen.append(request)
            scripted = self.script.pop(0) if self.script else None
            reply = scripted if scripted is not None else self._judged(request)
            if reply == "half" or (isinstance(reply, Reply) and reply.status < 300):
                self.taken.append(request)
            return reply

    def _judged(self, request: Request) -> Answer:
        try:
            return self.judge(request)
        except Exception as error:  # noqa: BLE001 - whatever the judge stumbles over is a bad request
            return Reply(400, json.dumps({"message": f"{type(error).__name__}: {error}"}).encode())


@contextmanager
def receiver(judge: Judge | None = None) -> Iterator[StrictReceiver]:
    """A receiver that listens inside the block."""
    server = StrictReceiver(judge)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that was killed is part of the test."""


class _Handler(BaseHTTPRequestHandler):
    receiver: StrictReceiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing."""

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        answer = self.receiver.answer(Request(self.command, self.path, headers, body))
        if isinstance(answer, Reply):
            self._reply(answer)
        else:
            self._misbehave(answer)

    def _reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _misbehave(self, fault: str) -> None:
        self.close_connection = True
        if fault == "hang":
            self.receiver.released.wait(30)
        elif fault == "drip":
            self._drip()
        else:
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
            self.connection.close()

    def _drip(self) -> None:
        """Send a header a byte at a time, for ever."""
        try:
            self.connection.sendall(b"HTTP/1.1 200 OK\r\nx-slow: ")
            while not self.receiver.released.is_set():
                self.connection.sendall(b"a")
                time.sleep(0.05)
        except OSError:
            return
