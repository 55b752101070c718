"""How long each page takes with 200 models and 90 days of hourly windows in PostgreSQL; `make bench-screens`.

The store is filled by the server itself from a story's windows, then every page is asked for over HTTP on loopback by
one client, each time for another model. Wall time and CPU time of the service's process (the client is in it, too).
Then the overview is opened in a real Chromium, ten times with an empty cache, until its first contents are painted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from playwright.sync_api import sync_playwright

from benchmarks.results import Cell, markdown_table, write_results
from mlhealth import report_json
from mlhealth.baseline.files import to_bytes
from mlhealth.baseline.record import Baseline
from mlhealth.clock import DAY, HOUR
from mlhealth.events.batch import KEY, PREDICTION, TIME
from mlhealth.labels.kept_sample import KeptSample
from mlhealth.records import WindowReport
from mlhealth.store.database import Database
from mlhealth.store.tables import baseline_activations, baselines, model_versions, window_profiles
from tests import profile_builder
from tests.report_builder import START, Story, report
from tests.servers.browser import chromium_path
from tests.servers.postgres import programs, start_postgres
from tests.store_builder import NOW, FilledStore
from tests.web_server import application, served

WINDOWS_A_DAY = 24
PROFILED = 48
"""Windows of each model whose profile is stored, the newest: what the pages of windows and features read."""
WITH_PROFILES = 20
"""Models that have profiles and a challenger beside the champion; pages of windows, features, versions are of these."""
CHAMPION, CHALLENGER = "3", "4"


@dataclass(frozen=True)
class Fleet:
    """How much is stored."""

    models: int
    days: int

    @property
    def windows(self) -> int:
        """Windows of each model."""
        return self.days * WINDOWS_A_DAY

    def name(self, n: int) -> str:
        """Return the name of a model."""
        return f"model-{n % self.models:03}"


def fill(store: FilledStore, fleet: Fleet) -> None:
    """Write every model's windows, each a calm or a broken one of the story, with alerts and a retraining."""
    made = profile_builder.baseline("model-000", "3")
    chosen = {0: report(Story(), 3), 1: report(Story(), 30)}
    with store.database.begin() as connection:
        names = [fleet.name(n) for n in range(fleet.models)]
        row = {"version": CHAMPION, "state": "live", "created": NOW, "closed_end": START + fleet.days * DAY}
        connection.execute(sa.insert(model_versions), [row | {"model": name} for name in names])
        row |= {"version": CHALLENGER, "created": NOW + 1}
        connection.execute(
            sa.insert(model_versions), [row | {"model": name} for name in names[:WITH_PROFILES]]
        )
        for broken, told in chosen.items():
            data = json.dumps(report_json.to_data(replace(told, baseline=made.hash)))
            connection.execute(_WINDOWS, _numbers(told, data, made.hash, fleet) | {"broken": broken})
    _add_baseline(store.database, made.hash, to_bytes(made))
    _add_profiles(store.database, made, fleet)
    for n in range(0, fleet.models, 10):
        store.add_alerts(fleet.name(n), "3")
        store.add_retraining(fleet.name(n), "3")
    store.add_stream()
    with store.database.begin() as connection:
        connection.execute(sa.text("analyze"))


_WINDOWS = sa.text("""
insert into reports (model, version, segment, start, "end", revision, baseline, latest, final, rows, status, score,
                     metric, value, lower, upper, reference, report, created)
select v.model, v.version, '', s.start, s.start + :hour, 0, :baseline, true, true, 2000, :status, :score,
       'accuracy', :value, :value - 0.02, :value + 0.02, 0.882,
       jsonb_set(jsonb_set(jsonb_set(cast(:data as jsonb), '{key,start}', to_jsonb(s.start)),
                           '{key,end}', to_jsonb(s.start + :hour)), '{key,model}', to_jsonb(v.model))::json, :created
from model_versions v,
     (select :first + n * :hour as start, n from generate_series(0, :windows - 1) n) s
where (case when s.n % 24 = 20 then 1 else 0 end) = :broken
""").bindparams(*(sa.bindparam(name, type_=sa.BigInteger) for name in ("hour", "first", "windows")))


def _numbers(told: WindowReport, data: str, baseline: str, fleet: Fleet) -> dict[str, object]:
    health = told.health
    value = told.estimates["accuracy"].value
    return {
        "hour": HOUR, "first": START, "windows": fleet.windows, "baseline": baseline, "data": data,
        "status": str(health.status), "score": health.score, "value": value, "created": NOW,
    }  # fmt: skip


def _add_baseline(database: Database, name: str, blob: bytes) -> None:
    row = {"hash": name, "model": "model-000", "version": "3", "summary": {"rows": 4000}, "created": NOW}
    active = {"model": "model-000", "version": "3", "baseline": name, "effective_start": 0, "created": NOW}
    with database.begin() as connection:
        connection.execute(sa.insert(baselines), [row | {"blob": blob}])
        connection.execute(sa.insert(baseline_activations), [active])


def _add_profiles(database: Database, made: Baseline, fleet: Fleet) -> None:
    window = profile_builder.window(made, income_factor=100.0)
    body = {"rows": window.rows, "profile": window.to_bytes(), "baseline": made.hash, "segment": ""}
    starts = [START + w * HOUR for w in range(fleet.windows - PROFILED, fleet.windows)]
    with database.begin() as connection:
        for n in range(min(WITH_PROFILES, fleet.models)):
            for version, seed in ((CHAMPION, 1), (CHALLENGER, 2)):
                named = body | {"model": fleet.name(n), "version": version, "sample": _sample(made, seed)}
                rows = [named | {"start": s, "end": s + HOUR} for s in starts]
                connection.execute(sa.insert(window_profiles), rows)


def _sample(made: Baseline, seed: int) -> bytes:
    """Return the kept answers of 2,000 rows: the same events whatever the seed, other answers."""
    rows = 2_000
    columns = {
        KEY: pa.array(np.arange(rows), pa.uint64()),
        TIME: pa.array(np.arange(rows), pa.int64()),
        PREDICTION: pa.array(np.random.default_rng(seed).integers(0, 2, rows), pa.int16()),
    }
    return KeptSample(made.schema, pa.table(columns)).to_bytes()


def pages(fleet: Fleet) -> dict[str, Callable[[int], str]]:
    """Return each page's address, for the n-th visit."""
    newest = START + (fleet.windows - 4) * HOUR
    profiled = min(WITH_PROFILES, fleet.models)

    def of(n: int) -> str:
        return f"/models/{fleet.name(n)}/versions/3"

    return {
        "overview": lambda _: "/",
        "model, 7 days": of,
        "model, 90 days": lambda n: f"{of(n)}?range=90d",
        "window": lambda n: f"{of(n % profiled)}/windows/{newest - n % 20 * HOUR}",
        "feature, 7 days": lambda n: f"{of(n % profiled)}/features/income",
        "feature, 90 days": lambda n: f"{of(n % profiled)}/features/income?range=90d",
        "versions": lambda n: f"/models/{fleet.name(n % profiled)}/versions",
        "baselines": lambda n: f"{of(n)}/baselines",
        "alerts": lambda _: "/alerts",
        "retraining": lambda _: "/retraining",
        "audit": lambda _: "/audit",
        "monitor": lambda _: "/monitor",
        "settings": lambda _: "/settings",
    }


def measure(address: str, path: Callable[[int], str], visits: int) -> dict[str, float]:
    """Return P50 and P95 of wall time and P95 of CPU time of a page in milliseconds, and its kilobytes."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
    wall, cpu, size = [], [], 0
    for n in range(visits + 2):
        began, busy = time.perf_counter(), time.process_time()
        connection.request("GET", path(n), headers={"Accept": "text/html"})
        answer = connection.getresponse()
        size = len(answer.read())
        if answer.status != 200:
            raise SystemExit(f"{path(n)} answered {answer.status}")
        if n >= 2:  # the first ones load templates and libraries
            wall.append(1e3 * (time.perf_counter() - began))
            cpu.append(1e3 * (time.process_time() - busy))
    connection.close()
    return {
        "p50_ms": float(np.quantile(wall, 0.5)),
        "p95_ms": float(np.quantile(wall, 0.95)),
        "p95_cpu_ms": float(np.quantile(cpu, 0.95)),
        "kb": size / 1024,
    }


def visited(store: FilledStore, fleet: Fleet, visits: int) -> tuple[list[dict[str, Cell]], dict[str, Cell]]:
    """Return what each page took, as rows of a table; and how soon the overview is painted."""
    rows: list[dict[str, Cell]] = []
    with served(application(store)) as address:
        for name, path in pages(fleet).items():
            found = measure(address, path, visits)
            rows.append({"page": name, **{key: round(value, 1) for key, value in found.items()}})
        return rows, painted(address, visits=10)


def painted(address: str, visits: int) -> dict[str, Cell]:
    """Return milliseconds to the first contents of the overview on the screen of a real Chromium, each visit afresh."""
    found = []
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox", "--disable-gpu"]
        )
        for _ in range(visits):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.goto(address)
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            found.append(
                float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            )
            context.close()
        browser.close()
    return {
        "first_paint_p50_ms": round(float(np.median(found)), 1),
        "first_paint_worst_ms": round(max(found), 1),
    }


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of our own, with its default settings for durability off; yields its URL."""
    folder = Path(tempfile.mkdtemp(prefix="mlhealth-bench-", dir="/tmp"))
    initdb, server_program = programs()
    server, _ = start_postgres(folder, initdb=initdb, postgres=server_program)
    try:
        yield server.url()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Fill, visit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--visits", type=int, default=40)
    chosen = parser.parse_args()
    fleet = Fleet(chosen.models, chosen.days)
    with postgres() as url:
        store = FilledStore(Database.open(url))
        began = time.perf_counter()
        fill(store, fleet)
        print(f"{fleet.models * fleet.windows:,} windows written in {time.perf_counter() - began:.0f} s")
        rows, paint = visited(store, fleet, chosen.visits)
        store.database.close()
    report_on(rows, paint, fleet)


def report_on(rows: list[dict[str, Cell]], paint: dict[str, Cell], fleet: Fleet) -> None:
    """Print the table and write the results."""
    print(markdown_table(rows))
    print(", ".join(f"{name} {value}" for name, value in paint.items()))
    figures: dict[str, Cell] = {
        "models": fleet.models,
        "windows": fleet.models * fleet.windows,
        "worst_p95_ms": max(float(row["p95_ms"] or 0) for row in rows),
        "worst_p95_cpu_ms": max(float(row["p95_cpu_ms"] or 0) for row in rows),
        **paint,
    }
    write_results("screens", figures, rows)


if __name__ == "__main__":
    main()
