"""Closing windows: progress and partial profiles of all workers → reports, alerts and states, a window at a time.

Everything is read from the store, so whoever looks first closes a window, and a second worker's attempt changes
nothing: the write succeeds only if closing still stands where it stood when the window was read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from time import monotonic

from sqlalchemy import Connection

from mlhealth.alerts.rules import RuleSet
from mlhealth.budget.evidence import BudgetLimits
from mlhealth.clock import SECOND
from mlhealth.events.messages import Partition
from mlhealth.labels.track_record import TrackRecord, numbers_of, track_records
from mlhealth.records import WindowReport
from mlhealth.store import closing as store
from mlhealth.store import labels
from mlhealth.store.closing import Closing, ModelVersion, Outcome, Snapshot, Standing
from mlhealth.store.comparisons import compare, compared
from mlhealth.store.database import Database
from mlhealth.store.revising import revise
from mlhealth.store.settling import Settling, settle
from mlhealth.window_plan import Due, Plan, Told, needed_from, plan
from mlhealth.windows import Progress, Silence, WindowSpec, watermark
from mlhealth.worker.evidence import record_steps
from mlhealth.worker.folding import Carried, fold, judge
from mlhealth.worker.judging import Judging, Question, forgotten, question_of
from mlhealth.worker.labelling import Labelling, joined
from mlhealth.worker.models import Models
from mlhealth.worker.refolding import Folded, refolded

logger = logging.getLogger(__name__)

Ends = Callable[[], Mapping[Partition, int]]
"""Asks the source for the end of each of its partitions, now."""


@dataclass(frozen=True)
class Closed:
    """What a round of closing did for one model version; `is_done`: nothing that was due is left.

    `seconds`: the time that each window took. `labelled`: reports of windows closed before that labels revised;
    `records`: how estimates compare with labels, when that may have changed.
    """

    name: ModelVersion
    reports: tuple[WindowReport, ...]
    watermark: int | None
    final_end: int | None
    skipped: int = 0
    is_done: bool = True
    seconds: tuple[float, ...] = ()
    labelled: tuple[WindowReport, ...] = ()
    records: tuple[TrackRecord, ...] = ()


@dataclass(frozen=True)
class Idleness:
    """When a partition counts as idle: `ends` asks for confirmed ends, `after` is in microseconds."""

    ends: Ends
    after: int = 30 * SECOND


@dataclass(frozen=True)
class _Task:
    """What there is to do for one model version."""

    spec: WindowSpec
    standing: Standing
    plan: Plan


@dataclass(frozen=True)
class _Done:
    """The reports of a window as written, and the rows of the partials that they were made of."""

    reports: Sequence[WindowReport]
    rows: int


class Closer:
    """Closes what is due, of every model version that the store knows."""

    def __init__(
        self,
        database: Database,
        models: Models,
        rules: Callable[[], RuleSet],
        idleness: Idleness,
        judging: Judging | None = None,
    ) -> None:
        self._database = database
        self._models = models
        self._rules = rules
        self._idleness = idleness
        self._judging = judging or Judging(models)
        self._labelling = Labelling(database, models, rules)
        self._silence = Silence()
        self._told: set[ModelVersion] = set()
        self._first: ModelVersion = ("", "")
        self.behind: Mapping[Partition, int] = {}
        self.before_commit: Callable[[], None] = lambda: None
        self._labelling.before_commit = self._committing

    def close(self, now: int, expired: Callable[[], bool] = lambda: False) -> list[Closed]:
        """Close windows that are due, until `expired`; model versions that had to wait come first the next time.

        Raises SourceUnavailable or StoreUnavailable, and may be called again.
        """
        snapshot = store.snapshot(self._database)
        ends = self._idleness.ends()
        self.behind = {p: max(end - snapshot.offsets.get(p, (0, 0))[0], 0) for p, end in ends.items()}
        done: list[Closed] = []
        names = sorted(snapshot.models)
        names = [n for n in names if n >= self._first] + [n for n in names if n < self._first]
        for name in names:
            self._first = name
            if expired():
                break
            standing = snapshot.models[name]
            runtime = self._models.newest(*name)
            if runtime is None or standing.state == "retired":
                continue
            mark = watermark(self._progress(name, snapshot, ends, now), now, self._idleness.after)
            todo = plan(runtime.spec, standing.windows, mark, now)
            done.append(self._close_model(name, _Task(runtime.spec, standing, todo), expired, now))
        return self._with_labels(done, expired, now)

    def _progress(
        self, name: ModelVersion, snapshot: Snapshot, ends: Mapping[Partition, int], now: int
    ) -> list[Progress]:
        """Return how far a model version has come in every partition of the topics that carry it."""
        standing = snapshot.models[name]
        streams = {seen.partition.stream for seen in standing.seen}
        known = {seen.partition: seen for seen in standing.seen}
        out = []
        for partition in sorted(p for p in ends if p.stream in streams):
            offset, progressed = snapshot.offsets.get(partition, (-1, 0))
            seen = known.get(partition)
            time, at = (None, progressed) if seen is None else (seen.event_time, seen.seen)
            quiet = self._silence.since((name, partition), at, (at, time), now)
            out.append(Progress(time, quiet, offset >= ends[partition]))
        return out

    def _committing(self) -> None:
        self.before_commit()

    def _with_labels(self, closed: Sequence[Closed], expired: Callable[[], bool], now: int) -> list[Closed]:
        """Join the labels that wait with windows that are closed."""
        waiting = set(self._labelling.waiting([c.name for c in closed]))
        found: list[Closed] = []
        for one in closed:
            runtime = self._models.newest(*one.name) if one.name in waiting else None
            if runtime is None or not one.is_done:
                found.append(one)
            elif expired():
                found.append(replace(one, is_done=False))
            else:
                horizon = max((one.watermark or now), 0) - runtime.config.labels.horizon
                revised = self._labelling.join(one.name, horizon, now)
                found.append(replace(one, labelled=revised.reports, is_done=revised.is_done))
        return [self._with_records(one) for one in found]

    def _with_records(self, closed: Closed) -> Closed:
        reports = (*closed.reports, *closed.labelled)
        if closed.name in self._told and all(report.labels is None for report in reports):
            return closed
        self._told.add(closed.name)
        with self._database.read() as connection:
            return replace(closed, records=track_records(compared(connection, closed.name)))

    def _close_model(self, name: ModelVersion, task: _Task, expired: Callable[[], bool], now: int) -> Closed:
        todo, at = task.plan, task.standing.windows.closed_end
        reports: list[WindowReport] = []
        seconds: list[float] = []
        told = {t.start: t for t in task.standing.windows.told}
        self._judging.expect(self._question(name, due) for due in todo.due)
        for due in todo.due:
            after = at if due.is_revision else max(due.end, at or due.end)
            began = monotonic()
            found = None if expired() else self._close_window(name, due, (at, after), now)
            if found is None:
                return Closed(name, tuple(reports), todo.mark, None, is_done=False, seconds=tuple(seconds))
            seconds.append(monotonic() - began)
            reports += found.reports
            told[due.start] = Told(due.start, due.end, found.rows, now)
            at = after
        final_end = self._settle(name, task, tuple(told.values()), at)
        return Closed(name, tuple(reports), todo.mark, final_end, todo.skipped, seconds=tuple(seconds))

    def _question(self, name: ModelVersion, due: Due) -> Question:
        with self._database.read() as connection:
            return question_of(connection, self._models, name, due)

    def _settle(self, name: ModelVersion, task: _Task, told: Sequence[Told], at: int | None) -> int | None:
        """Note how far closing has come, and put away windows that take no more rows; return up to where, if known."""
        todo, end = task.plan, task.plan.closed_end
        with self._database.begin() as connection:
            if end != at and not store.claim(connection, name, at, end):
                return None
            if todo.final_end is None or todo.final_end == task.standing.windows.final_end:
                return todo.final_end
            settling = Settling(
                told,
                todo.final_end,
                lambda final: needed_from(task.spec, told, end, final),
                self._horizon(connection, name),
            )
            return settle(connection, name, settling)

    def _horizon(self, connection: Connection, name: ModelVersion) -> int:
        """Return for how long labels may revise windows: 0 where the model has none."""
        runtime = self._models.newest(*name)
        return runtime.config.labels.horizon if runtime and labels.changes(connection, name[0]) else 0

    def _close_window(
        self, name: ModelVersion, due: Due, closed_end: tuple[int | None, int | None], now: int
    ) -> _Done | None:
        """Close or revise one window; None where another worker was quicker, or labels or a forgetting."""
        is_first = not due.is_revision and (closed_end[0] is None or due.end > closed_end[0])
        with self._database.read() as connection:
            asked = question_of(connection, self._models, name, due)
            known = labels.changes(connection, name[0])
            outcomes = self._judging.outcomes(asked)
            reports = self._labelled(connection, outcomes) if known else [o.report for o in outcomes]
            folded = (
                self._fold(connection, name, reports, now)
                if is_first
                else refolded(connection, name, reports, self._rules(), self._limits)
            )
        judged = zip(outcomes, folded.reports, strict=True)
        outcomes = [replace(outcome, report=report) for outcome, report in judged]
        with self._database.begin() as connection:
            written = Closing(name, due.start, closed_end, outcomes, folded.states, now)
            changed = labels.changes(connection, name[0]) != known
            if (
                changed
                or forgotten(connection, name) != asked.forgotten
                or not store.write(connection, written)
            ):
                return None
            revise(connection, folded.rewritten, now)
            compare(connection, folded.reports)
            record_steps(connection, folded.steps, self._rules(), now)
            self.before_commit()
        return _Done(folded.reports, sum(part.rows for part in asked.parts if part.segment == ""))

    def _labelled(self, connection: Connection, outcomes: Sequence[Outcome]) -> list[WindowReport]:
        """Return the reports of a window with what the labels say that came before it closed."""
        found: list[WindowReport] = []
        for baseline, group in groupby(outcomes, key=lambda outcome: outcome.report.baseline):
            mine = list(group)
            reports = [outcome.report for outcome in mine]
            found += joined(connection, self._models.ready(baseline), reports, mine[0].kept)
        return found

    def _fold(
        self, connection: Connection, name: ModelVersion, reports: Sequence[WindowReport], now: int
    ) -> Folded:
        if not reports:
            return Folded((), (), {})
        before = Carried.from_data(store.state_before(connection, name, reports[0].key.end))
        judged, ledger = judge(reports, before.ledger, self._limits)
        end, unused = reports[0].key.end, store.unused_events(connection, name)
        circumstances = before.since(unused, (now - end) / SECOND)
        circumstances = replace(circumstances, record=numbers_of(track_records(compared(connection, name))))
        steps, rules = fold(self._rules(), judged, before.rules, circumstances)
        return Folded(judged, steps, {end: Carried(rules, ledger, circumstances, unused).to_data()})

    def _limits(self, baseline: str) -> BudgetLimits:
        return self._models.ready(baseline).limits
