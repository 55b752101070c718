"""`make bench-stream [ARGS="--events 100000"]`: CPU per event through a real broker, as ratios of one run."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.results import markdown_table, write_results
from benchmarks.stream.bench import Bench
from benchmarks.stream.data import WINDOW_EVENTS
from benchmarks.stream.figures import (
    Report,
    arrow_figures,
    fleet_figures,
    json_figures,
    memory_figures,
    shape_figures,
    takeover_figures,
)
from tests.servers.kafka_broker import KafkaCluster

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "stream.md"
BEGIN, END = "<!-- figures of make bench-stream -->", "<!-- end of figures -->"


def measured(bench: Bench, memory_events: int) -> Report:
    """Return everything measured; each part is printed as soon as it is there."""
    report = Report()
    topic = json_figures(bench, report)
    _show(report)
    arrow_figures(bench, report)
    _show(report)
    shape_figures(bench, report, topic)
    _show(report)
    fleet_figures(bench, report, topic)
    takeover_figures(bench, report)
    _show(report)
    memory_figures(bench, report, memory_events)
    report.figures |= {"events": bench.events, "repeats": bench.repeats, "window_events": WINDOW_EVENTS}
    return report


def tables(report: Report) -> str:
    """Return the figures, and the stages of each kind of run, as Markdown."""
    figures = markdown_table([{"figure": name, "value": value} for name, value in report.figures.items()])
    stages = markdown_table(report.stages)
    return f"{figures.strip()}\n\nMicroseconds of CPU per event, by stage:\n\n{stages.strip()}"


def _show(report: Report) -> None:
    print(tables(report), flush=True)


def write_docs(text: str) -> None:
    """Put the tables where the documentation shows them."""
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cluster = KafkaCluster(Path(folder) / "kafka")
        cluster.start()
        try:
            bench = Bench(cluster, Path(folder), options.events, options.repeats)
            report = measured(bench, options.memory_events)
        finally:
            cluster.delete()
    _show(report)
    write_docs(tables(report))
    rows = [{"figure": name, "value": value} for name, value in report.figures.items()]
    print(write_results("stream", report.figures, [*rows, *report.stages]))


if __name__ == "__main__":
    main()
