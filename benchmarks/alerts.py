"""Alerting's numbers: judging by many rules, the way of a page, and verifying a long audit trail.

`python -m benchmarks.alerts [--quick]`. The run of ten thousand transitions under kills is `make e2e STORY=delivery`.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from benchmarks.results import markdown_table, write_results
from mlhealth.alerts.context import example_report
from mlhealth.alerts.dispatch import Dispatcher, Options, Receiver
from mlhealth.alerts.engine import EngineState, step
from mlhealth.alerts.notifiers.registry import notifier, receiver_config
from mlhealth.alerts.rules import RuleSet
from mlhealth.clock import SystemClock
from mlhealth.store import audit
from mlhealth.store.alert_tables import audit as audit_table
from mlhealth.store.alert_tables import record
from tests.alert_rules import design_rules, store, window
from tests.strict_receiver import receiver

PAGES = 30
BATCH = 50_000


def judging() -> float:
    """Return the CPU seconds of a round: a hundred rules on a hundred models with thirty features each."""
    rule = design_rules().rules[0]
    rules = RuleSet(tuple(rule.model_copy(update={"alert": f"r{n}"}) for n in range(100)))
    features = tuple(f"f{n}" for n in range(30))
    calm = replace(example_report(features=features), health=window(0, "healthy").health)
    reports = [replace(calm, key=replace(calm.key, model=f"m{n}")) for n in range(100)]
    began = time.process_time()
    for report in reports:
        step(rules, report)
    return time.process_time() - began


def paging(folder: Path) -> list[float]:
    """Return the seconds from the commit of a window to its page at the receiver, with the default settings."""
    database, stop, rules, state, took = store(folder), threading.Event(), design_rules(), EngineState(), []
    with receiver() as server:
        config = receiver_config("oncall", {"webhook": {"url": server.url}})
        dispatcher = Dispatcher(database, {"oncall": Receiver(notifier("oncall", config), config)}, Options())
        thread = threading.Thread(target=dispatcher.run, args=(stop,))
        thread.start()
        for n in range(PAGES):
            outcome = step(rules, window(n, "critical" if n % 2 == 0 else "healthy"), state)
            state, before = outcome.state, len(server.taken)
            with database.begin() as connection:
                record(connection, outcome, SystemClock().now())
            began = time.monotonic()
            while len(server.taken) == before:
                time.sleep(0.002)
            took.append(time.monotonic() - began)
        stop.set()
        thread.join()
    database.close()
    return took


def verifying(folder: Path, rows: int) -> tuple[float, int]:
    """Return the CPU seconds to verify an audit trail, and its length."""
    database, previous = store(folder), audit.GENESIS
    names = [column.name for column in audit_table.columns]
    for first in range(1, rows + 1, BATCH):
        made = []
        for seq in range(first, min(first + BATCH, rows + 1)):
            row = (
                seq,
                seq * 1_000_000,
                "kim",
                "silence.add",
                f"s{seq}",
                '{"comment":"feed migration","for":"2h"}',
            )
            previous = audit.row_hash(previous, row)
            made.append(dict(zip(names, (*row, previous), strict=True)))
        with database.begin() as connection:
            connection.execute(insert(audit_table), made)
    began = time.process_time()
    with database.read() as connection:
        found = audit.verify(connection)
    took = time.process_time() - began
    assert found.ok, found.reason
    database.close()
    return took, found.rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the audit trail")
    rows = 100_000 if parser.parse_args().quick else 1_000_000
    cpu = min(judging() for _ in range(3))
    with tempfile.TemporaryDirectory() as name:
        pages = paging(Path(name))
    with tempfile.TemporaryDirectory() as name:
        verified, length = verifying(Path(name), rows)
    figures = {
        "rules_cpu_seconds": cpu,
        "page_seconds_median": float(np.median(pages)),
        "page_seconds_slowest": max(pages),
        "audit_rows": length,
        "audit_verify_cpu_seconds": verified,
    }
    rows_shown = [
        {"what": "100 rules × 100 models, CPU s", "found": f"{cpu:.2f}", "wanted": "at most 1"},
        {"what": f"page after its window's commit, s, median of {PAGES}",
         "found": f"{figures['page_seconds_median']:.2f}", "wanted": "at most 2"},
        {"what": f"the slowest of {PAGES} pages, s", "found": f"{max(pages):.2f}", "wanted": "at most 2"},
        {"what": f"verify {length:,} audit rows, CPU s", "found": f"{verified:.1f}",
         "wanted": f"at most {30 * rows / 1_000_000:g}"},
    ]  # fmt: skip
    print(markdown_table(rows_shown))
    write_results("alerts", figures, rows_shown)


if __name__ == "__main__":
    main()
