"""Sends retraining requests, follows each to its end, and judges whether it helped."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from mlhealth.alerts.backoff import wait
from mlhealth.alerts.model_registry import ModelRegistry
from mlhealth.alerts.retraining.adopted import baseline_problem
from mlhealth.alerts.retraining.base import Job, Progress, TrainingService
from mlhealth.alerts.retraining.consequences import Consequence, follow, note
from mlhealth.alerts.retraining.judge import Verdict, WindowStatus, judge
from mlhealth.clock import MINUTE, Clock, SystemClock, format_duration, to_iso
from mlhealth.config.receivers import TrainingConfig
from mlhealth.errors import DeliveryError, MlhealthError, NotFoundError, RecoverableError
from mlhealth.queries.versions import Versus, compare
from mlhealth.records import HealthStatus, RetrainingStatus
from mlhealth.store import retraining
from mlhealth.store.database import Database
from mlhealth.store.outbox import Lease
from mlhealth.store.tables import reports
from mlhealth.versions.comparison import WORSE, Comparison
from mlhealth.versions.policy import words

LOG = logging.getLogger("mlhealth.alerts")
LEASE = 5 * MINUTE


Outcome = Callable[[str, str], None]
"""Called with the training service and what became of a request; counts for /metrics."""


@dataclass(frozen=True)
class Options:
    """What a follower works with beside its services."""

    registry: ModelRegistry | None = None
    clock: Clock = field(default_factory=SystemClock)
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    count: Outcome = lambda service, outcome: None


@dataclass(frozen=True)
class Change:
    """What a turn did to a request: the columns that change, and what followed a verdict."""

    values: Mapping[str, Any]
    consequence: Consequence | None = None

    @property
    def outcome(self) -> str | None:
        """What became of the request, in a word for the counter; None where it only goes on."""
        said = self.values.get("verdict") or self.values.get("status")
        return None if said is None else str(said).replace(" ", "_")


@dataclass(frozen=True)
class Service:
    """A training service with how it is to be followed."""

    training: TrainingService
    config: TrainingConfig


class Follower:
    """Serves the training services of one configuration; `run` in a thread of its own."""

    def __init__(
        self,
        database: Database,
        services: Mapping[str, Service],
        options: Options | None = None,
    ) -> None:
        self._database = database
        self._services = dict(services)
        self._options = options or Options()
        self._clock = self._options.clock
        self._owner = f"{os.getpid()}-{secrets.token_hex(4)}"

    def run(self, stop: threading.Event, poll: float = 1.0) -> None:
        """Follow until told to stop; a database that is away is waited for."""
        while not stop.is_set():
            try:
                self.turn()
            except RecoverableError as error:
                LOG.warning("retraining requests cannot be read: %s", error)
            stop.wait(poll)

    def turn(self) -> int:
        """Do what is due once; return the number of requests that were looked at."""
        now = self._clock.now()
        with self._database.read() as connection:
            if not retraining.is_due(connection, now, tuple(self._services)):
                return 0
        with self._database.begin() as connection:
            rows = retraining.claim(connection, Lease(self._owner, now, now + LEASE), tuple(self._services))
        for row in rows:
            self._advance(row)
        return len(rows)

    def _advance(self, row: Row[Any]) -> None:
        service = self._services[row.service]
        try:
            change = self._step(row, service)
        except MlhealthError as error:
            change = Change(self._after(row, service, error))
        except Exception as error:  # noqa: BLE001 - a defect in one adapter must not stop the others
            change = Change(self._after(row, service, DeliveryError(f"{type(error).__name__}: {error}")))
        now = self._clock.now()
        with self._database.begin() as connection:
            retraining.change(connection, row.id, change.values, now)
            if change.consequence is not None:
                note(connection, row, change.consequence, now)
        if change.outcome is not None and change.outcome != row.status:
            self._options.count(row.service, change.outcome)

    def _step(self, row: Row[Any], service: Service) -> Change:
        if row.status == RetrainingStatus.REQUESTED:
            return Change(self._submit(row, service))
        if row.status == RetrainingStatus.SUCCEEDED:
            return self._judge(row, service)
        return Change(self._follow(row, service))

    def _submit(self, row: Row[Any], service: Service) -> dict[str, Any]:
        with self._database.read() as connection:
            other = retraining.busy_with(connection, row)
        now = self._clock.now()
        quiet = service.config.quiet_hours and service.config.quiet_hours.until(now)
        if quiet:
            return {"next_at": quiet, "detail": f"waits for the end of the quiet hours at {to_iso(quiet)}"}
        if other is not None:
            reason = f"a training of {row.model} is under way already ({other})"
            return {"status": str(RetrainingStatus.REFUSED), "detail": reason, "finished": now}
        taken = service.training.submit(retraining.request_of(row))
        LOG.info(
            "retraining %s of %s %s: job %s at %s", row.id, row.model, row.version, taken.job, row.service
        )
        return {
            "status": str(RetrainingStatus.SUBMITTED), "job": taken.job, "status_url": taken.status_url,
            "detail": None, "submitted": now, "attempts": 0, "next_at": now + service.config.poll,
        }  # fmt: skip

    def _follow(self, row: Row[Any], service: Service) -> dict[str, Any]:
        now = self._clock.now()
        progress = service.training.progress(Job(retraining.request_of(row), row.job, row.status_url))
        if progress is not None and progress.status in (RetrainingStatus.SUCCEEDED, RetrainingStatus.FAILED):
            with self._database.read() as connection:
                problem = baseline_problem(connection, row, progress)
            return progress_values(progress, now) | ({"detail": problem} if problem else {})
        if now - row.submitted > service.config.forget:
            forgot = f"no end within {format_duration(service.config.forget)} of submission: given up"
            return {"status": str(RetrainingStatus.FAILED), "detail": forgot, "finished": now}
        later: dict[str, Any] = {"attempts": 0, "next_at": now + service.config.poll}
        if progress is not None and str(progress.status) != row.status:
            later |= {"status": str(progress.status), "detail": progress.detail}
        return later

    def _judge(self, row: Row[Any], service: Service) -> Change:
        now = self._clock.now()
        with self._database.read() as connection:
            windows = _windows_since(connection, row)
        within = service.config.recover_within
        both = self._compared(row, windows, within)
        is_worse = both is not None and both.verdict == WORSE
        verdict = judge(row.version, row.new_version, windows, within, is_worse=is_worse)
        if verdict is None:
            return Change({"next_at": now + service.config.poll})
        done, trouble = self._follow_verdict(row, service, verdict)
        values = {
            "verdict": verdict.text, "detail": _detail(row, both),
            "recovered": verdict.recovered, "action": done.action or trouble,
            "time_to_recovery": None if verdict.recovered is None else verdict.recovered - _alerted(row),
        }  # fmt: skip
        return Change(values, done)

    def _compared(self, row: Row[Any], windows: Sequence[WindowStatus], within: int) -> Comparison | None:
        """Return old and new version on the windows that both answered since the request; None where there is none."""
        new = row.new_version or next((w.version for w in windows if w.version != row.version), None)
        if new is None:
            return None
        try:
            found = compare(
                self._database, Versus(row.model, row.version, new, start=row.data_end, limit=within)
            )
        except NotFoundError:
            return None
        return found if found.windows else None

    def _follow_verdict(
        self, row: Row[Any], service: Service, verdict: Verdict
    ) -> tuple[Consequence, str | None]:
        """Act at the registry; one that cannot is tried for `give_up`, and then told."""
        try:
            return follow(self._options.registry, row, service.config, verdict), None
        except MlhealthError as error:
            is_early = self._clock.now() - row.finished < service.config.give_up
            if isinstance(error, RecoverableError) and is_early:
                raise
            LOG.error("retraining %s: the registry was not told: %s", row.id, error)  # noqa: TRY400 - one line
            return Consequence(verdict), f"the registry was not told: {error}"

    def _after(self, row: Row[Any], service: Service, error: MlhealthError) -> dict[str, Any]:
        now = self._clock.now()
        if row.status == RetrainingStatus.SUCCEEDED:
            since, limit = row.finished, 2 * service.config.give_up
        else:
            since = row.submitted or row.recorded
            limit = service.config.forget if row.submitted else service.config.give_up
        if isinstance(error, RecoverableError) and now - since < limit:
            pause = wait(row.attempts + 1, getattr(error, "retry_after", None), self._options.rng)
            return {"attempts": row.attempts + 1, "next_at": now + pause, "detail": str(error)}
        LOG.error("retraining %s of %s %s failed: %s", row.id, row.model, row.version, error)
        return {"status": str(RetrainingStatus.FAILED), "detail": str(error), "finished": now}


def progress_values(progress: Progress, now: int) -> dict[str, Any]:
    """Return the columns that a job's end changes."""
    return {
        "status": str(progress.status),
        "detail": progress.detail,
        "new_version": progress.new_version,
        "gpu_seconds": progress.gpu_seconds,
        "finished": now,
        "next_at": now,
    }


def report_progress(connection: Connection, id_: str, progress: Progress, now: int) -> None:
    """Take a training service's call back: how the job of request `id_` is doing. Raises NotFoundError.

    What comes after the end changes nothing.
    """
    row = retraining.get(connection, id_)
    if row.status not in retraining.OPEN:
        return
    ended = progress.status in (RetrainingStatus.SUCCEEDED, RetrainingStatus.FAILED)
    problem = baseline_problem(connection, row, progress)
    values = (
        progress_values(progress, now) | ({"detail": problem} if problem else {})
        if ended
        else {"status": str(progress.status), "detail": progress.detail}
    )
    retraining.change(connection, id_, values, now, row.service)


def _detail(row: Row[Any], both: Comparison | None) -> str | None:
    """Return what is said of a judged request: what was said before, and how the versions compare."""
    before: str | None = row.detail
    difference = None if both is None else both.metrics.get(both.metric)
    if both is None or difference is None or difference.value is None:
        return before
    return "; ".join(text for text in (before, f"{words(both, difference)}: {both.verdict}") if text)


def _alerted(row: Row[Any]) -> int:
    """Return the event time at which the alert fired that asked for the training."""
    told = row.evidence.get("alert") or {}
    return int(told.get("fired_at") or row.created)


def _windows_since(connection: Connection, row: Row[Any]) -> list[WindowStatus]:
    query = (
        select(reports.c.version, reports.c.end, reports.c.status, reports.c.created)
        .where(reports.c.model == row.model, reports.c.segment == "", reports.c.latest)
        .where(reports.c.start >= row.data_end)
        .order_by(reports.c.end)
    )
    return [
        WindowStatus(r.version, r.end, HealthStatus(r.status), r.created > row.finished)
        for r in connection.execute(query)
    ]
