"""The `ray_head` fixture: a real Ray head with its Jobs API, in a network namespace of its own.

Ray listens on every interface whatever it is told; in the namespace there is only loopback, and its end takes all of
Ray's processes along. The Jobs API reaches the tests through a Unix socket.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.servers.environments import ROOT, python_with
from tests.servers.process import LOOPBACK, ServerProcess, free_port
from tests.servers.registry import note, unavailable

VERSION = "2.60.0"
RELAY = Path(__file__).with_name("relay.py")
_HEAD = """
ip link set lo up
{python} {relay} unix:{socket} tcp:28265 &
export RAY_USAGE_STATS_ENABLED=0 RAY_ENABLE_UV_RUN_RUNTIME_ENV=0 RAY_AUTH_MODE=disabled
export PYTHONPATH={root} OMP_NUM_THREADS=1
until {ray} start --head --block --port=26479 --node-ip-address=127.0.0.1 --dashboard-host=127.0.0.1 \
  --dashboard-port=28265 --ray-client-server-port=26480 --dashboard-agent-listen-port=26481 --min-worker-port=27000 \
  --max-worker-port=27100 --num-cpus=2 --num-gpus=1 --object-store-memory=150000000 --disable-usage-stats \
  --temp-dir={home}; do sleep 1; done
"""
"""Ray gives up a start that takes its parts longer than they are given, 15 to 30 s: then once more."""


@dataclass
class RayHead:
    """A running head: `url` is its dashboard's, `python` the interpreter of its jobs."""

    url: str
    python: Path

    def version(self) -> str:
        """Return what the Jobs API says it is."""
        with urlopen(f"{self.url}/api/version", timeout=5) as answer:
            return str(json.load(answer)["ray_version"])


@pytest.fixture(scope="module")
def ray_head(pytestconfig: pytest.Config) -> Iterator[RayHead]:
    """A head for the tests of one file; skipped where Ray or network namespaces cannot be had."""
    if not has_namespaces():
        reason = "no network namespaces here (unshare --net needs root)"
        unavailable(pytestconfig, "ray", reason, required_in_ci=False)
    python = python_with(pytestconfig, "ray", [f"ray[default]=={VERSION}"], with_service=True)
    home = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray makes Unix sockets in it
    port = free_port()
    said = {"python": python, "relay": RELAY, "socket": home / "jobs", "root": ROOT, "home": home / "r",
            "ray": python.with_name("ray")}  # fmt: skip
    space = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    head = ServerProcess([*space, "bash", "-c", _HEAD.format(**said)], home / "head.log")
    relay = ServerProcess(
        [sys.executable, str(RELAY), f"tcp:{port}", f"unix:{home / 'jobs'}"], home / "relay.log"
    )
    started = RayHead(f"http://{LOOPBACK}:{port}", python)
    try:
        relay.start()
        head.start()
        note(
            pytestconfig,
            "ray",
            f"started in {head.wait_ready(lambda: _answers(started), timeout=400.0):.1f} s",
        )
        yield started
    finally:
        head.kill()
        relay.kill()
        shutil.rmtree(home, ignore_errors=True)


def has_namespaces() -> bool:
    """Return whether network namespaces can be made here."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    asked = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "ip", "link", "set", "lo", "up"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _answers(head: RayHead) -> bool:
    try:
        return bool(head.version())
    except (OSError, ValueError):
        return False
