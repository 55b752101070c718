"""Where the on-call stories happen: a broker's topic, a running service, the files, and how events get there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.servers.process import wait_until
from tests.servers.service import StreamService, mlhealth

ROWS_PER_HOUR = 1_000


class Answering(Protocol):
    """A model version that answers events."""

    @property
    def version(self) -> str:
        """The version's name."""

    def traffic(self, path: Path, hours: range, *, broken: bool = False) -> Path:
        """Write the events of some hours; return the file."""


def push(folder: Path, version: str, reference: tuple[Path, Path], config: Path | None) -> Path:
    """Fit a version's baseline and put it into the store; return its folder."""
    base = folder / f"baseline{version}"
    mlhealth("baseline", "fit", reference[0], "--schema", reference[1], "--out", base, timeout=600)
    mlhealth("baseline", "push", base, "-c", config)
    return base


@dataclass
class Floor:
    """Where it happens: a broker's topic, a service, the files."""

    folder: Path
    bootstrap: str
    topic: str
    service: StreamService

    def send(self, deployed: Answering, hours: range, *, broken: bool = False) -> None:
        """Send the events of some hours, and wait for their windows."""
        file = deployed.traffic(self.folder / f"t{hours.start}.parquet", hours, broken=broken)
        to = ("--to", "kafka", "--bootstrap", self.bootstrap, "--topic", self.topic)
        mlhealth(
            "replay", file, *to, "--baseline", self.folder / f"baseline{deployed.version}", "--window", "1h"
        )
        self.service.wait_for(ROWS_PER_HOUR * hours.stop, timeout=600)

    def ask(self, *words: str) -> str:
        """Run a command on the service's configuration."""
        return mlhealth(*words, "-c", self.service.config)

    def until_listed(self, word: str, timeout: float = 120) -> None:
        """Wait until the list of retraining requests says a word."""
        wait_until(lambda: word in self.ask("retraining", "list"), what=word, timeout=timeout, interval=2)
