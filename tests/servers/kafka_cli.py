"""`scripts/kafka`: a real Kafka broker on loopback for a contributor, with one command."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from tests.servers.kafka_broker import KafkaCluster
from tests.servers.kafka_files import CACHE, fetch, library
from tests.servers.process import ServerError, accepts, resident_mb, wait_until


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/kafka", description=__doc__)
    parser.add_argument("action", choices=["fetch", "start", "stop", "status", "run"])
    parser.add_argument("--port", type=int, default=9092, help="the first node's port; others follow in tens")
    parser.add_argument("--nodes", type=int, default=1, help="1, or 3 to be able to lose one")
    parser.add_argument("--data-dir", type=Path, default=CACHE / "data", help="where messages are kept")
    return parser.parse_args()


def _state_file(folder: Path) -> Path:
    return folder / "running.json"


def _state(folder: Path) -> dict[str, list[int]]:
    """Return the ids and ports of the brokers started from this data folder that still run."""
    try:
        state: dict[str, list[int]] = json.loads(_state_file(folder).read_text())
    except FileNotFoundError:
        return {"pids": [], "ports": []}
    alive = [pid for pid in state["pids"] if _is_broker(pid, folder)]
    return {"pids": alive, "ports": state["ports"] if alive else []}


def _is_broker(pid: int, folder: Path) -> bool:
    """Whether this process is a broker of that folder: the id may have been given to another since."""
    try:
        return str(folder.absolute()) in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _start(options: argparse.Namespace, *, detached: bool) -> KafkaCluster | None:
    if ports := _state(options.data_dir)["ports"]:
        print(f"running already: {_addresses(ports)}")
        return None
    ports = [options.port + 10 * number for number in range(options.nodes)]
    if taken := [port for port in ports if accepts(port)]:
        raise ServerError(f"port {taken[0]} is taken: choose another with --port")
    if not library().is_dir():
        print("fetching the broker from Maven Central (43 MB, once) …", flush=True)
    cluster = KafkaCluster(options.data_dir, ports, detached=detached)
    seconds = cluster.start()
    state = {"pids": [node.process.pid for node in cluster.nodes], "ports": ports}
    _state_file(options.data_dir).write_text(json.dumps(state))
    print(f"Kafka {cluster.version} answers at {cluster.bootstrap} after {seconds:.1f} s", flush=True)
    return cluster


def _stop(folder: Path) -> None:
    pids = _state(folder)["pids"]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    try:
        wait_until(lambda: not _state(folder)["pids"], what="stopping Kafka", timeout=10.0)
    except ServerError:
        for pid in _state(folder)["pids"]:
            os.kill(pid, signal.SIGKILL)
    _state_file(folder).unlink(missing_ok=True)
    print("stopped" if pids else "was not running")


def _run(options: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cluster = _start(options, detached=False)
    if cluster is None:
        return
    print("Ctrl-C stops it", flush=True)
    try:
        while cluster.running:
            time.sleep(0.5)
    finally:
        cluster.stop()
        _state_file(options.data_dir).unlink(missing_ok=True)


def _addresses(ports: list[int]) -> str:
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def _status(folder: Path) -> int:
    state = _state(folder)
    memory = sum(resident_mb(pid) for pid in state["pids"])
    print(f"{_addresses(state['ports'])} ({memory:.0f} MB resident)" if state["pids"] else "not running")
    return 0 if state["pids"] else 3


def main() -> int:
    """Do what was asked; a broker that cannot run is one line and exit code 1."""
    options = _arguments()
    try:
        if options.action == "fetch":
            print(fetch())
        elif options.action == "start":
            _start(options, detached=True)
        elif options.action == "run":
            _run(options)
        elif options.action == "stop":
            _stop(options.data_dir)
        else:
            return _status(options.data_dir)
    except KeyboardInterrupt:
        return 130
    except ServerError as error:
        print(f"scripts/kafka: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
