"""`mlhealth serve` as a process of its own, over a broker and a store, for tests."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from mlhealth.store.database import Database
from tests.servers.process import LOOPBACK, ServerProcess, free_port, wait_until

MLHEALTH = (sys.executable, "-c", "from mlhealth.cli import main; main()")


def mlhealth(*arguments: object, timeout: float = 300.0) -> str:
    """Run the command line in a process of its own and return its stdout; fails with its stderr."""
    command = [*MLHEALTH, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class StreamService:
    """A service in `folder`, reading `topic`; `models` is the YAML of that block."""

    folder: Path
    bootstrap: str
    topic: str
    models: str
    store: str = "sqlite:///mlhealth.db"
    command: str = "serve"
    checkpoint: str = "500ms"
    source: str = ""
    env: Mapping[str, str] | None = None
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "mlhealth.yaml"
        self.config.write_text(
            f"store: {self.store}\nlisten: {{port: {self.port}}}\ncheckpoint: {self.checkpoint}\n"
            f"sources:\n  - kafka: {{bootstrap: '{self.bootstrap}', topics: [{self.topic}], group: {self.topic},"
            f" idle: 5s, session: 6s{self.source}}}\nmodels:\n  {self.models}\n"
        )
        self.process = self._process()

    def _process(self) -> ServerProcess:
        arguments = [*MLHEALTH, self.command, "-c", str(self.config)]
        return ServerProcess(arguments, self.folder / "serve.log", env=self.env)

    def start(self) -> None:
        """Start the process and wait until it answers that it is ready (a worker: until it runs)."""
        self.process = self._process()
        self.process.start()
        if self.command == "serve":
            self.process.wait_ready(self._ready, timeout=60.0)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/readyz", timeout=2.0) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    @contextmanager
    def database(self) -> Iterator[Database]:
        """A connection of the test's own to the store."""
        from mlhealth.config.service import load

        opened = Database.open(load(self.config).store)
        try:
            yield opened
        finally:
            opened.close()

    def reports(self, segment: str = "") -> list[WindowReport]:
        """Return the latest revision of each window of a segment, in order of time."""
        import sqlalchemy as sa

        from mlhealth.store.tables import reports as t

        query = (
            sa.select(t.c.report)
            .where(t.c.segment == segment, t.c.latest)
            .order_by(t.c.model, t.c.version, t.c.start)
        )
        with self.database() as database, database.read() as connection:
            return [from_data(row.report) for row in connection.execute(query)]

    def counts(self) -> dict[str, int]:
        """Return how many events met each outcome."""
        import sqlalchemy as sa

        from mlhealth.store.tables import counters as t

        query = sa.select(t.c.outcome, sa.func.sum(t.c.events)).group_by(t.c.outcome)
        with self.database() as database, database.read() as connection:
            return {row[0]: int(row[1]) for row in connection.execute(query)}

    def rows(self) -> int:
        """Return of how many rows the latest reports speak."""
        return sum(report.rows for report in self.reports())

    def wait_for(self, rows: int, *, timeout: float = 120.0) -> None:
        """Wait until reports speak of so many rows."""
        wait_until(
            lambda: self.rows() >= rows,
            what=f"{rows} rows in reports; {self.process.log_tail()}",
            timeout=timeout,
            interval=0.25,
        )
