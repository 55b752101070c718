"""One server process: started with a log file, waited for by polling, stopped by its own process id."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"


class ServerError(RuntimeError):
    """A server did not start, or ended by itself; carries the end of its log."""


def free_port() -> int:
    """Return a TCP port that is free on loopback now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wait_until(ready: Callable[[], bool], *, what: str, timeout: float, interval: float = 0.05) -> float:
    """Poll `ready` until it is true; return the seconds that took. Raises ServerError at the timeout."""
    began = time.monotonic()
    while not ready():
        if time.monotonic() - began > timeout:
            raise ServerError(f"{what}: not ready after {timeout:.0f} s")
        time.sleep(interval)
    return time.monotonic() - began


def accepts(port: int) -> bool:
    """Whether something listens on that loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def tied_to_parent(command: Sequence[str]) -> list[str]:
    """Prefix a command so that the kernel ends it when this process dies, where `setpriv` is there."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else list(command)


@dataclass
class ServerProcess:
    """A command that serves until told to stop. `detached` ones outlive the process that started them."""

    command: Sequence[str]
    log: Path
    detached: bool = False
    env: Mapping[str, str] | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        """The process id; raises ServerError when it was never started."""
        if self._process is None:
            raise ServerError(f"{self.command[0]}: not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = list(self.command) if self.detached else tied_to_parent(self.command)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=self.env,
            )

    def wait_ready(self, ready: Callable[[], bool], *, timeout: float = 60.0) -> float:
        """Poll `ready`; a process that ended meanwhile is an error with the end of its log."""

        def check() -> bool:
            if not self.running:
                raise ServerError(
                    f"{self.command[0]} ended while starting; {self.log} ends:\n{self.log_tail()}"
                )
            return ready()

        try:
            return wait_until(check, what=f"{Path(self.command[0]).name} (log {self.log})", timeout=timeout)
        except ServerError:
            self.kill()
            raise

    def send(self, number: signal.Signals) -> None:
        """Send a signal, say SIGSTOP or SIGCONT, to this process alone."""
        if self.running:
            os.kill(self.pid, number)

    def stop(self, *, timeout: float = 20.0, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and end it when it has not after `timeout` seconds."""
        self.send(number)
        if self._process is not None:
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it at once, as `kill -9` would."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def log_tail(self, lines: int = 12) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return "(no log)"


def resident_mb(pid: int) -> float:
    """Return a process's resident memory in MB, or NaN where /proc does not tell."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return float("nan")


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has spent in all of its threads, or NaN where /proc does not tell."""
    with contextlib.suppress(OSError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return float("nan")
