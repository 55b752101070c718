"""The `prometheus` and `alertmanager` fixtures: factories, since every test brings its own configuration."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.servers.process import LOOPBACK, ServerProcess, free_port
from tests.servers.registry import note, unavailable


@dataclass
class HttpServer:
    """A server that answers at `url` and says at `/-/ready` when it is up."""

    url: str
    process: ServerProcess

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def ready(self) -> bool:
        """Whether `/-/ready` answers 200."""
        try:
            with urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError, TimeoutError):
            return False

    def start(self) -> float:
        """Start it (again); return the seconds until it is ready."""
        self.process.start()
        return self.process.wait_ready(self.ready, timeout=30.0)

    def stop(self) -> None:
        """Take it down; the data stays."""
        self.process.stop()


Factory = Callable[[str], HttpServer]
Command = Callable[[Path, int], list[str]]


def _prometheus(config: Path, port: int) -> list[str]:
    address = f"{LOOPBACK}:{port}"
    store = f"--storage.tsdb.path={config.parent / 'data'}"
    extra = [
        f"--web.external-url=http://{address}",
        "--web.enable-lifecycle",
        "--web.enable-remote-write-receiver",
    ]
    return ["prometheus", f"--config.file={config}", store, f"--web.listen-address={address}", *extra]


def _alertmanager(config: Path, port: int) -> list[str]:
    address = f"{LOOPBACK}:{port}"
    store = f"--storage.path={config.parent / 'data'}"
    # An empty cluster address: else it gossips on every interface.
    extra = [f"--web.external-url=http://{address}", "--cluster.listen-address="]
    return [
        "prometheus-alertmanager",
        f"--config.file={config}",
        store,
        f"--web.listen-address={address}",
        *extra,
    ]


def _servers(pytestconfig: pytest.Config, folder: Path, name: str, command: Command) -> Iterator[Factory]:
    """Yield a function that starts one server from the text of its configuration; all end with the test."""
    program = command(Path(), 0)[0]
    if shutil.which(program) is None:
        unavailable(pytestconfig, name, f"not installed (Debian: apt-get install {program})")
    started: list[HttpServer] = []

    def start(configuration: str) -> HttpServer:
        home = folder / f"{name}{len(started)}"
        home.mkdir()
        config, port = home / "config.yml", free_port()
        config.write_text(configuration)
        server = HttpServer(
            f"http://{LOOPBACK}:{port}", ServerProcess(command(config, port), home / "server.log")
        )
        started.append(server)
        note(pytestconfig, name, f"started in {server.start():.1f} s")
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def prometheus(pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[Factory]:
    """`prometheus(configuration)` starts a Prometheus; relative rule files are looked for beside `config.yml`."""
    yield from _servers(pytestconfig, tmp_path, "prometheus", _prometheus)


@pytest.fixture
def alertmanager(pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[Factory]:
    """`alertmanager(configuration)` starts an Alertmanager that gossips with nobody."""
    yield from _servers(pytestconfig, tmp_path, "alertmanager", _alertmanager)
