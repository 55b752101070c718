"""`/metrics` and `/healthz` of a process that serves nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from mlhealth.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Unready = Callable[[], list[str]]
"""Returns a sentence for each thing that keeps the process from working."""


class Probes:
    """Answers on one port until stopped; `port` 0 takes any that is free."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, unready: Unready) -> None:
        metrics = make_wsgi_app(registry)

        def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"] == "/metrics":
                return metrics(environ, start)  # type: ignore[no-any-return]
            if environ["PATH_INFO"] != "/healthz":
                start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
                return [b"there is /metrics and /healthz\n"]
            faults = unready()
            status = "503 Service Unavailable" if faults else "200 OK"
            start(status, [("Content-Type", "text/plain; charset=utf-8")])
            return ["\n".join(faults or ["ok"]).encode(), b"\n"]

        try:
            self._server = make_server(host, port, answer, _Server, _Quiet)
        except OSError as error:
            raise ConfigError(f"--metrics-port {port} on {host} cannot be opened: {error.strerror}") from None
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="mlhealth-probes", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name it has in the library)
        """Write nothing: a probe every few seconds is no news."""
