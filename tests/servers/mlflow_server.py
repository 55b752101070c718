"""The `mlflow_server` fixture: a real MLflow tracking server with a registry, from an environment of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.servers.environments import python_with
from tests.servers.process import LOOPBACK, ServerProcess, free_port
from tests.servers.registry import note

VERSION = "3.17.2"
QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def mlflow_server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with an empty registry; skipped where MLflow cannot be had."""
    python = python_with(pytestconfig, "mlflow", [f"mlflow=={VERSION}"])
    home = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = [
        str(python), "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{home / 'm.db'}", "--artifacts-destination", str(home / "artifacts"),
    ]  # fmt: skip
    server = ServerProcess(command, home / "mlflow.log", env={**os.environ, **QUIET, "PATH": _path(python)})
    server.start()
    try:
        took = server.wait_ready(lambda: _answers(url), timeout=150.0)
        note(pytestconfig, "mlflow", f"started MLflow {VERSION} in {took:.1f} s")
        yield url
    finally:
        server.stop()


def _path(python: Path) -> str:
    return f"{python.parent}{os.pathsep}{os.environ['PATH']}"


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
