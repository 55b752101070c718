"""Labels meet windows: when a window closes, and when labels come for windows that were closed long ago."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from mlhealth.alerts.rules import RuleSet
from mlhealth.events.labels import class_index
from mlhealth.labels.kept_sample import KeptSample
from mlhealth.labels.labelled import Labelled
from mlhealth.records import WindowReport
from mlhealth.store import closing as store
from mlhealth.store import labels, revising
from mlhealth.store.closing import ModelVersion
from mlhealth.store.comparisons import compare
from mlhealth.store.database import Database
from mlhealth.store.revising import KeptWindow
from mlhealth.worker.evidence import record_steps
from mlhealth.worker.models import Models, Runtime
from mlhealth.worker.refolding import refolded

AT_ONCE = 50
"""Windows revised in one transaction at most."""
_CACHE_BYTES = 32 * 1024 * 1024


def joined(
    connection: Connection, runtime: Runtime, reports: Sequence[WindowReport], kept: bytes | None
) -> list[WindowReport]:
    """Return a window's reports, the overall one first, with what the labels say that its kept sample has."""
    if not reports or kept is None:
        return list(reports)
    key = reports[0].key
    name = (key.model, key.version)
    sample = KeptSample.from_bytes(kept, runtime.baseline.schema)
    found = labels.lookup(connection, name, sample.keys)
    if not found and all(report.labels is None for report in reports):
        return list(reports)
    label = class_index([found.get(event) for event in sample.keys.tolist()], sample.schema)
    drawn = labels.drawn(labels.draws(connection, name, key.start), sample.keys)
    whole = Labelled(sample, label, reports[0].volume, drawn)
    return [_read(runtime, report, whole) for report in reports]


def _read(runtime: Runtime, report: WindowReport, whole: Labelled) -> WindowReport:
    if report.baseline != runtime.baseline.hash:
        return report
    if not report.key.segment:
        return runtime.labels.read(report, replace(whole, window_rows=report.volume))
    mask = runtime.in_segment(whole.sample.table, report.key.segment)
    if mask is None or not mask.any():
        return report
    return runtime.labels.read(report, whole.filter(mask, report.volume))


@dataclass(frozen=True)
class Revised:
    """Reports of closed windows that labels revised; `is_done`: no label waits any more."""

    name: ModelVersion
    reports: tuple[WindowReport, ...]
    is_done: bool


class Labelling:
    """Joins labels with closed windows, a few at a time; what was done for one change is remembered until all is."""

    def __init__(self, database: Database, models: Models, rules: Callable[[], RuleSet]) -> None:
        self._database = database
        self._models = models
        self._rules = rules
        self._keys: OrderedDict[tuple[ModelVersion, KeptWindow], NDArray[np.uint64]] = OrderedDict()
        self._done: dict[ModelVersion, tuple[int, set[int]]] = {}
        self.before_commit: Callable[[], None] = lambda: None

    def waiting(self, names: Collection[ModelVersion]) -> list[ModelVersion]:
        """Return the model versions for which labels came that were not joined yet."""
        with self._database.read() as connection:
            heads, progress = labels.heads(connection), labels.progress(connection)
        return [name for name in sorted(names) if heads.get(name[0], 0) > progress.get(name, 0)]

    def join(self, name: ModelVersion, horizon: int, now: int) -> Revised:
        """Revise windows that start at `horizon` or later by the labels that came since the last time."""
        with self._database.read() as connection:
            until = labels.changes(connection, name[0])
            fresh = labels.fresh(connection, name, labels.considered(connection, name), until)
            done = self._done_for(name, until)
            affected = [w for w in self._affected(connection, name, fresh, horizon) if w.start not in done]
            chosen, is_done = affected[:AT_ONCE], len(affected) <= AT_ONCE
            changed = [report for w in chosen for report in self._changed(connection, name, w.start)]
        written = self._write(name, changed, until if is_done else None, now)
        if written is None:
            return Revised(name, (), is_done=False)
        done.update(w.start for w in chosen)
        if is_done:
            self._done.pop(name, None)
        return Revised(name, written, is_done)

    def _forget(self, connection: Connection, name: ModelVersion, now: int) -> None:
        runtime = self._models.newest(*name)
        if runtime is not None:
            labels.forget(connection, name[0], now - runtime.config.labels.horizon)

    def _done_for(self, name: ModelVersion, until: int) -> set[int]:
        if self._done.get(name, (-1, set()))[0] != until:
            self._done[name] = (until, set())
        return self._done[name][1]

    def _affected(
        self, connection: Connection, name: ModelVersion, fresh: NDArray[np.uint64], horizon: int
    ) -> list[KeptWindow]:
        if len(fresh) == 0:
            return []
        windows = revising.kept_windows(connection, name, horizon)
        return [w for w in windows if np.isin(self._events(connection, name, w), fresh).any()]

    def _events(self, connection: Connection, name: ModelVersion, window: KeptWindow) -> NDArray[np.uint64]:
        """Return the event keys of a window's kept sample."""
        place = (name, window)
        if place not in self._keys:
            found = revising.kept_sample(connection, name, window.start)
            runtime = None if found is None else self._models.ready(found[0])
            sample = None
            if found is not None and runtime is not None:
                sample = KeptSample.from_bytes(found[1], runtime.baseline.schema)
            self._keys[place] = np.zeros(0, np.uint64) if sample is None else sample.keys
        self._keys.move_to_end(place)
        while sum(keys.nbytes for keys in self._keys.values()) > _CACHE_BYTES and len(self._keys) > 1:
            self._keys.popitem(last=False)
        return self._keys[place]

    def _changed(self, connection: Connection, name: ModelVersion, start: int) -> list[WindowReport]:
        """Return the reports of a window as its next revision; none where the labels say what they said before."""
        found = revising.kept_sample(connection, name, start)
        before = revising.window_reports(connection, name, start)
        if found is None or not before:
            return []
        after = joined(connection, self._models.ready(found[0]), before, found[1])
        if [r.labels for r in after] == [r.labels for r in before]:
            return []
        return [replace(report, revision=report.revision + 1) for report in after]

    def _write(
        self, name: ModelVersion, changed: Sequence[WindowReport], until: int | None, now: int
    ) -> tuple[WindowReport, ...] | None:
        """Write revisions and what the rules make of them; None where something else came between."""
        with self._database.begin() as connection:
            revising.hold(connection, name)
            folded = refolded(
                connection, name, changed, self._rules(), lambda b: self._models.ready(b).limits
            )
            if not revising.revise(connection, [*folded.reports, *folded.rewritten], now):
                return None
            store.write_states(connection, name, folded.states)
            compare(connection, folded.reports)
            record_steps(connection, folded.steps, self._rules(), now)
            if until is not None:
                labels.consider(connection, name, until)
                self._forget(connection, name, now)
            self.before_commit()
        return tuple(folded.reports)
