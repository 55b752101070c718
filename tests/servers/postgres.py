"""The `postgres` fixture: one real server for the session, a fresh database for each test."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.process import LOOPBACK, ServerProcess, accepts, free_port
from tests.servers.registry import note, unavailable

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def _binary(name: str) -> str | None:
    """Find a server program: Debian keeps them off the PATH, one folder per version."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: float(p.parts[4]))
    return str(versions[-1]) if versions else shutil.which(name)


def programs() -> tuple[str, str]:
    """Return the paths of initdb and postgres; raises FileNotFoundError where they are not installed."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    if initdb is None or postgres is None:
        raise FileNotFoundError("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return initdb, postgres


def _other_user() -> str | None:
    """The user to run as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _as_user(user: str | None, command: list[str]) -> list[str]:
    if user is None:
        return command
    entry = pwd.getpwnam(user)
    return [
        "setpriv",
        f"--reuid={entry.pw_uid}",
        f"--regid={entry.pw_gid}",
        "--clear-groups",
        "--pdeathsig=KILL",
        *command,
    ]


@dataclass
class PostgresServer:
    """A server on loopback with its data in a folder of its own."""

    folder: Path
    port: int
    user: str
    process: ServerProcess

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database here."""
        return f"postgresql+psycopg://{self.user}@{LOOPBACK}:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction, as the superuser."""
        import psycopg

        dsn = f"host={LOOPBACK} port={self.port} user={self.user} dbname=postgres"
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def stop(self) -> None:
        """Take the server down, ending open sessions; the data stays."""
        self.process.stop(number=signal.SIGINT)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.kill()

    def start(self) -> float:
        """Start it (again); return the seconds until it answers."""
        if self.process.running:
            return 0.0
        self.process.start()
        return self.process.wait_ready(self._answers, timeout=30.0)

    def _answers(self) -> bool:
        import psycopg

        if not accepts(self.port):
            return False
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def start_postgres(folder: Path, *, initdb: str, postgres: str) -> tuple[PostgresServer, float]:
    """Make a server in `folder`, which the user it runs as must be able to reach; return it and the start's seconds."""
    user = _other_user()
    if user is not None:
        shutil.chown(folder, user)
    data, port, owner = folder / "data", free_port(), user or getpass.getuser()
    make = [
        initdb,
        "-D",
        str(data),
        "-U",
        owner,
        "--auth=trust",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    ]
    subprocess.run(_as_user(user, make), check=True, capture_output=True, cwd=folder)
    settings = (f"listen_addresses={LOOPBACK}", f"port={port}", f"unix_socket_directories={folder}", *_FAST)
    serve = [postgres, "-D", str(data), *(part for setting in settings for part in ("-c", setting))]
    server = PostgresServer(folder, port, owner, ServerProcess(_as_user(user, serve), folder / "server.log"))
    return server, server.start()


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """One PostgreSQL for the session; `stop`, `kill` and `start` it to see what an outage does."""
    initdb, postgres = _binary("initdb"), _binary("postgres")
    if initdb is None or postgres is None:
        unavailable(pytestconfig, "postgresql", "not installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="mlhealth-postgres-", dir="/tmp"))
    try:
        server, seconds = start_postgres(folder, initdb=initdb, postgres=postgres)
        version = subprocess.run(
            [postgres, "--version"], check=True, capture_output=True, text=True
        ).stdout.split()[2]
        note(pytestconfig, "postgresql", f"started PostgreSQL {version} in {seconds:.1f} s")
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """The SQLAlchemy URL of a fresh, empty database."""
    postgres_server.start()
    name = f"test_{uuid4().hex[:12]}"
    postgres_server.execute(f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    postgres_server.start()
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
