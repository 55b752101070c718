"""`make bench-doors`: events per CPU-second through the HTTP door, and microseconds of a logger's call.

The door: `mlhealth api` in a process of its own takes NDJSON batches of events with 50 features, durable in its inbox
before it answers; its CPU is counted, not the sender's. The logger: a call's CPU in the caller's thread, its own thread
sending meanwhile.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx

from benchmarks.results import Cell, markdown_table, write_results
from benchmarks.stream.data import baseline_of, json_events, production, schema_of
from mlhealth.client import Logger, Memory, Pace
from mlhealth.store import baselines, schema
from mlhealth.store.database import Database
from tests.servers.process import LOOPBACK, ServerProcess, accepts, cpu_seconds, free_port
from tests.servers.service import MLHEALTH

BATCH = 1_000
FEATURES = {f"number_{i:03d}": i / 7 for i in range(50)}


def ingested(folder: Path, batches: int, repeats: int) -> dict[str, Cell]:
    """Return how many events the door takes per CPU-second, and how many bytes each has."""
    url, port = f"sqlite:///{folder / 'doors.db'}", free_port()
    database = Database.open(url)
    schema.ensure(database)
    with database.begin() as connection:
        baselines.activate(connection, baselines.push(connection, baseline_of("m"), 0), 0)
    database.close()
    config = folder / "mlhealth.yaml"
    config.write_text(f"store: {url}\nlisten: {{port: {port}}}\nsources:\n  - inbox: {{}}\n")
    process = ServerProcess([*MLHEALTH, "api", "-c", str(config)], folder / "api.log")
    process.start()
    try:
        process.wait_ready(lambda: accepts(port), timeout=60.0)
        body = b"\n".join(json_events(production(schema_of("m"), BATCH)))
        with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=60.0) as client:
            _send(client, body, 5)
            spent = [_spent(process.pid, client, body, batches) for _ in range(repeats)]
    finally:
        process.stop()
    return {
        "http_events_per_cpu_second": batches * BATCH / median(spent),
        "http_events_per_batch": BATCH,
        "http_bytes_per_event": len(body) / BATCH,
    }


def _spent(pid: int, client: httpx.Client, body: bytes, batches: int) -> float:
    before = cpu_seconds(pid)
    _send(client, body, batches)
    return cpu_seconds(pid) - before


def _send(client: httpx.Client, body: bytes, batches: int) -> None:
    for _ in range(batches):
        answer = client.post(
            "/v1/models/m/versions/1/events", content=body, headers={"Content-Type": "application/x-ndjson"}
        )
        answer.raise_for_status()
        if answer.json()["accepted"] != BATCH:
            raise RuntimeError(answer.text)


def logged(calls: int, repeats: int) -> dict[str, Cell]:
    """Return a call's microseconds of CPU in the thread that calls, with 50 features."""
    found = []
    for _ in range(repeats):
        with Logger("m", "1", Memory(), pace=Pace(capacity=2 * calls)) as logger:
            begin = time.thread_time()
            for i in range(calls):
                logger.log(FEATURES, 1, 0.5, id=i)
            found.append((time.thread_time() - begin) / calls * 1e6)
            if logger.stats().dropped:
                raise RuntimeError("the logger dropped events")
    return {"logger_us_per_call": median(found), "logger_features": len(FEATURES)}


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = ingested(Path(folder), options.batches, options.repeats)
    figures |= logged(options.calls, options.repeats)
    print(markdown_table([{"figure": name, "value": value} for name, value in figures.items()]))
    write_results("doors", figures)


if __name__ == "__main__":
    main()
