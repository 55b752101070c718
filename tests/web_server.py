"""The real application on a real port, in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from mlhealth.api.app import create_app
from mlhealth.api.services import Services
from tests.servers.process import free_port, wait_until
from tests.store_builder import FilledStore


def application(store: FilledStore, *, host: str = "127.0.0.1") -> FastAPI:
    """Return the application over a filled store, as if it listened on `host`."""
    return create_app(Services(queries=store.queries, tokens=store.tokens, clock=store.clock, host=host))


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free loopback port; yields its address."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, "127.0.0.1", port, log_config=None, ws="none", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, what="the web server", timeout=30)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
