"""Runs a story through the real code, from source to retraining; only time is moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson
import pandas as pd

from mlhealth import app
from mlhealth.clock import SECOND, ManualClock, to_iso
from mlhealth.demo.model import DeployedModel, train
from mlhealth.demo.neighbours import Neighbours, NeighbourServer, Page
from mlhealth.demo.setting import labelled, logged, write_config, write_schema
from mlhealth.demo.story import TIME, Chapter, Slice, Story
from mlhealth.estimators.base import PRIMARY
from mlhealth.fit import fit
from mlhealth.queries.reports import Queries
from mlhealth.records import WindowReport
from mlhealth.schema.file import complete
from mlhealth.schema.model_schema import Task
from mlhealth.scorers.opening import open_scorer
from mlhealth.sources.base import MODEL_HEADER, VERSION_HEADER, WATERMARK_HEADER
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.store import baselines
from mlhealth.store.markers import Marker, mark
from mlhealth.store.retire import retire
from mlhealth.threads import single_threaded
from mlhealth.worker.loop import Worker

TOPIC = "inference-log"
RETRAIN_SHARE = 0.7
"""Of the fresh labelled rows, the share that a new version is trained on; the rest is its reference."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Window:
    """One window of the story: what mlhealth said, and what was true."""

    chapter: Chapter
    report: WindowReport
    truth: float
    pages: tuple[Page, ...]


@dataclass
class Stage:
    """Everything a running demo holds. `port` is where pages would answer."""

    story: Story
    folder: Path
    port: int = 0
    seed: int = 0
    tell: Tell = lambda _: None
    neighbours: Neighbours = field(default_factory=Neighbours)
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.server = NeighbourServer(self.neighbours)
        self.service = app.build(
            write_config(self.folder, self.story, self.server.url, self.port), clock=self.clock
        )
        self._queries = Queries(self.service.database)
        self._log = MemoryLog(TOPIC)
        self._worker: Worker = app.worker_on(self.service, MemorySource(self._log), SECOND)
        self._sent = 0
        self._told = 0
        self._past: list[pd.DataFrame] = []

    @property
    def address(self) -> str:
        """Where the pages answer."""
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Train the first version, fit its baseline, and let it speak."""
        story = self.story
        self.tell(f"training version 1 of {story.model} on {len(story.train):,} rows")
        self.clock.advance(int(story.reference[TIME].iloc[-1]) - self.clock.now())
        model = train(story.train, story.target, story.features, story.task, self.seed)
        self.register("1", model, story.reference, story.train)

    def register(
        self, version: str, model: DeployedModel, reference: pd.DataFrame, learned: pd.DataFrame
    ) -> None:
        """Put a model version into service, with the baseline it will be judged by."""
        story = self.story
        self.neighbours.models[version] = model
        self.tell(f"fitting the baseline of version {version} on {len(reference):,} labelled rows")
        schema = write_schema(self.folder, story, model, version)
        table = labelled(reference, model, story.target)
        known = fit(
            table,
            schema,
            train=labelled(learned.assign(**{TIME: 0}), model, story.target),
            scorer=open_scorer(f"{self.server.url}/invocations/{version}", complete(schema, table).schema),
            seed=self.seed,
            clock=self.clock,
        )
        now = self.clock.now()
        with self.service.database.begin() as connection:
            baselines.push(connection, known, now)
            baselines.activate(connection, known.hash, now, window=story.window)
            mark(connection, Marker(story.model, version, "deploy", now, "in service", "mlhealth demo"), now)

    def windows(self, stop: threading.Event) -> Iterator[Window]:
        """Stream the story; yield each window as it closes."""
        self._worker.start(stop)
        for piece in self.story.slices:
            if stop.is_set():
                break
            yield self._window(piece)
        self._worker.finish()

    def _window(self, piece: Slice) -> Window:
        version = self._version(piece)
        model = self.neighbours.models[version]
        events = logged(piece.rows, model, self._sent)
        self._sent += len(events)
        end = (int(piece.rows[TIME].iloc[-1]) // self.story.window + 1) * self.story.window
        self._send(events, version, end)
        self._past.append(piece.rows)
        with single_threaded():
            self._worker.turn()
            self._worker.checkpoint()
            self._worker.close_windows()
        self.service.alerts.dispatcher.turn()
        self.service.alerts.follower.turn()
        report = self._queries.report(self.story.model, version, end - self.story.window)
        pages = tuple(self.neighbours.pages[self._told :])
        self._told += len(pages)
        return Window(piece.chapter, report, truth(events, piece.rows, self.story), pages)

    def _send(self, events: pd.DataFrame, version: str, end: int) -> None:
        """Write a window's events as one NDJSON message, then the promise that no earlier one follows."""
        headers = [(MODEL_HEADER, self.story.model.encode()), (VERSION_HEADER, version.encode())]
        body = b"\n".join(map(orjson.dumps, events.to_dict(orient="records")))
        self._log.append(0, body, headers, written=end)
        self._log.append(0, b"", [*headers, (WATERMARK_HEADER, to_iso(end).encode())], written=end)
        self.clock.advance(end + 2 * SECOND - self.clock.now())

    def _version(self, piece: Slice) -> str:
        """Return who answers; a version that was asked for is trained when the story comes to it."""
        wanted = piece.chapter.version
        if wanted not in self.neighbours.models and self.neighbours.requests:
            self._retrain(wanted)
        return wanted if wanted in self.neighbours.models else "1"

    def _retrain(self, version: str) -> None:
        """Do what the training service was asked to, now that labels of the data window have come."""
        asked = self.neighbours.requests[-1]
        self.tell(f"the training service makes version {version}: {asked['reason']}")
        since = pd.Timestamp(asked["data_start"]).value // 1_000
        past = pd.concat(self._past, ignore_index=True)
        fresh = past[past[TIME] >= since].reset_index(drop=True)
        order = np.random.default_rng(self.seed).permutation(len(fresh))
        cut = int(len(fresh) * RETRAIN_SHARE)
        learned, reference = fresh.iloc[order[:cut]], fresh.iloc[np.sort(order[cut:])]
        model = train(learned, self.story.target, self.story.features, self.story.task, self.seed)
        self.register(version, model, reference.reset_index(drop=True), learned.reset_index(drop=True))
        self.neighbours.trained = version
        with self.service.database.begin() as connection:
            retire(connection, self.story.model, "1", "mlhealth demo", self.clock.now())
        self._worker.checkpoint()  # which also looks for baselines that are new


def truth(events: pd.DataFrame, rows: pd.DataFrame, story: Story) -> float:
    """Return the primary metric that the labels of a window show."""
    predicted, label = events["prediction"].to_numpy(), rows[story.target].to_numpy()
    if story.task is Task.REGRESSION:
        return float(np.abs(predicted - label).mean())
    return float((predicted == label).mean())


def primary(story: Story) -> str:
    """Return the metric the story is told in."""
    return PRIMARY[story.task]
