"""A filled store, and clients of the service over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.web.client import Reach
from tests.store_builder import FilledStore
from tests.web_server import application, served


@pytest.fixture
def store(tmp_path: Path) -> FilledStore:
    """A store with one model and its alerts."""
    filled = FilledStore(tmp_path)
    filled.add_loans()
    filled.add_stream()
    return filled


@pytest.fixture
def reach() -> Iterator[Reach]:
    """Serve an application on a real port and return a client of it, under the name it believes it was called by."""
    with ExitStack() as stack:

        def reached(app: FastAPI, name: str = "127.0.0.1") -> httpx.Client:
            address = stack.enter_context(served(app))
            client = httpx.Client(base_url=address, headers={"Host": name}, follow_redirects=True)
            return stack.enter_context(client)

        yield reached


@pytest.fixture
def client(store: FilledStore, reach: Reach) -> httpx.Client:
    """A browser on the same machine as the service."""
    return reach(application(store))
