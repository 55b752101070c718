"""`make bench-stream [ARGS="--events 100000"]`: CPU per event through a real broker, as ratios of one run."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import FOLDER, Cell, markdown_table, write_results
from benchmarks.stream.bench import Bench
from benchmarks.stream.data import WINDOW_EVENTS
from benchmarks.stream.figures import PARTS, Report
from tests.servers.kafka_broker import KafkaCluster

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "stream.md"
BEGIN, END = "<!-- figures of make bench-stream -->", "<!-- end of figures -->"


def published(report: Report) -> str:
    """Add a report to what parts measured before it found; write results and documentation; return the tables."""
    before = _before()
    figures = before.figures | report.figures
    measured = {line["run"] for line in report.stages}
    stages = [line for line in before.stages if line["run"] not in measured] + report.stages
    rows = [{"figure": name, "value": value} for name, value in figures.items()]
    write_results("stream", figures, [*rows, *stages])
    tables = (
        markdown_table(rows).strip(),
        "Microseconds of CPU per event, by stage:",
        markdown_table(stages).strip(),
    )
    text = "\n\n".join(tables)
    page = PAGE.read_text()
    head, tail = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")
    return text


def _before() -> Report:
    file = FOLDER / "stream.json"
    if not file.exists():
        return Report()
    found = json.loads(file.read_text())
    return Report(found["figures"], [row for row in found["rows"] if "run" in row])


def measured(bench: Bench, parts: Sequence[str]) -> None:
    """Measure the parts, each published as soon as it is there."""
    for part in parts:
        report = Report()
        PARTS[part](bench, report)
        sizes: dict[str, Cell] = {
            "events": bench.events,
            "repeats": bench.repeats,
            "window_events": WINDOW_EVENTS,
        }
        report.figures |= sizes
        print(published(report), end="\n\n", flush=True)


def main() -> None:
    """Measure everything, print tables and write `benchmarks/results/stream.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--events", type=int, default=200_000, help="JSON events; ten times as many Arrow rows"
    )
    parser.add_argument("--repeats", type=int, default=3, help="rounds whose median counts")
    parser.add_argument(
        "--memory-events", type=int, default=10_000_000, help="Arrow rows of the run on memory"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="measure these only")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    if options.fresh:
        (FOLDER / "stream.json").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        cluster = KafkaCluster(Path(folder) / "kafka")
        cluster.start()
        try:
            bench = Bench(cluster, Path(folder), options.events, options.repeats, options.memory_events)
            measured(bench, options.parts)
        finally:
            cluster.delete()


if __name__ == "__main__":
    main()
