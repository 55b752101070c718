"""Questions about alerts, acknowledgements, silences and retraining."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from mlhealth.alerts.retraining_trigger import AWAITS_APPROVAL
from mlhealth.errors import StoreUnavailable
from mlhealth.records import Alert, AlertState, RetrainingRequest, RetrainingStatus
from mlhealth.store import silences
from mlhealth.store.alert_tables import (
    acknowledgements,
    alert_transitions,
    alerts,
    outbox,
    retraining_requests,
)
from mlhealth.store.database import Database
from mlhealth.store.silences import Silence


@dataclass(frozen=True)
class Of:
    """Of which model and version; None for any."""

    model: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Acknowledgement:
    """Who took a firing alert into their hands, and when (wall time)."""

    by: str
    note: str
    at: int


@dataclass(frozen=True)
class AlertLine:
    """An alert as it stands, and who has acknowledged its present firing."""

    alert: Alert
    acknowledged: Acknowledgement | None = None


@dataclass(frozen=True)
class RetrainingLine:
    """A request with what became of it: the new version, whether the estimate recovered, and what was done about that.

    `gpu_seconds` were spent; `time_to_recovery` is from the alert to the first healthy window's end, in microseconds.
    """

    request: RetrainingRequest
    approved_by: str | None = None
    submitted: int | None = None
    finished: int | None = None
    new_version: str | None = None
    verdict: str | None = None
    action: str | None = None
    gpu_seconds: int | None = None
    time_to_recovery: int | None = None

    @property
    def awaits_approval(self) -> bool:
        """Whether a person must let the request go out."""
        return self.request.status is RetrainingStatus.REQUESTED and self.request.detail == AWAITS_APPROVAL


@dataclass(frozen=True)
class DeliveryLine:
    """What became of one receiver's notices: how many wait, were delivered, failed; the last delivery (wall time)."""

    receiver: str
    waiting: int
    delivered: int
    failed: int
    last: int | None


ANY = Of()


class AlertQueries:
    """Questions to one store, about models of these prefixes (all, where there are none)."""

    def __init__(self, database: Database, models: tuple[str, ...] = ()) -> None:
        self.database = database
        self._models = models

    def current(self, of: Of = ANY, *, states: Iterable[AlertState] = ()) -> tuple[AlertLine, ...]:
        """Return alerts as they stand, firing ones first, then the latest change first."""
        query = sa.select(alerts).where(*self._of(alerts, of))
        if chosen := [str(state) for state in states]:
            query = query.where(alerts.c.state.in_(chosen))
        taken = sa.select(acknowledgements)
        with self.database.read() as connection:
            found = connection.execute(query).mappings().all()
            by = {(row["fingerprint"], row["fired_at"]): row for row in connection.execute(taken).mappings()}
        lines = [
            AlertLine(_alert(row), _acknowledged(by.get((row["fingerprint"], row["fired_at"]))))
            for row in found
        ]
        return tuple(
            sorted(lines, key=lambda line: (_ORDER[line.alert.state], -line.alert.since, line.alert.rule))
        )

    def count(self, state: AlertState) -> int:
        """Return how many alerts are in `state`."""
        where = (alerts.c.state == str(state), within(alerts.c.model, self._models))
        query = sa.select(sa.func.count()).select_from(alerts).where(*where)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def firing_labels(self, *, limit: int = 5_000) -> tuple[tuple[str, ...], ...]:
        """Return model, version, segment, rule and severity of alerts that fire; none where the store is away."""
        names = [alerts.c[name] for name in ("model", "version", "segment", "rule", "severity")]
        query = sa.select(*names).where(alerts.c.state == str(AlertState.FIRING)).limit(limit)
        try:
            with self.database.read() as connection:
                return tuple(tuple(map(str, row)) for row in connection.execute(query))
        except StoreUnavailable:
            return ()

    def episodes(self, of: Of = ANY, *, limit: int = 500) -> tuple[Alert, ...]:
        """Return each time an alert fired: still firing, or resolved at `since`; the newest first."""
        table = alert_transitions
        states = [str(AlertState.FIRING), str(AlertState.RESOLVED), str(AlertState.INACTIVE)]
        query = sa.select(table).where(*self._of(table, of), table.c.state.in_(states))
        with self.database.read() as connection:
            newest = connection.execute(query.order_by(table.c.at.desc(), table.c.id.desc()).limit(2 * limit))
            changes = newest.mappings().all()
        return tuple(_episodes(changes[::-1]))[:limit]

    def retrainings(self, of: Of = ANY, *, limit: int = 200) -> tuple[RetrainingLine, ...]:
        """Return retraining requests, the newest first."""
        table = retraining_requests
        query = (
            sa.select(table)
            .where(*self._of(table, of))
            .order_by(table.c.created.desc(), table.c.id)
            .limit(limit)
        )
        with self.database.read() as connection:
            return tuple(_retraining(row) for row in connection.execute(query).mappings())

    def deliveries(self) -> tuple[DeliveryLine, ...]:
        """Return what became of each receiver's notices, by name; nothing for those who see some models only."""
        if self._models:
            return ()
        query = sa.select(
            outbox.c.receiver, outbox.c.state, sa.func.count(), sa.func.max(outbox.c.finished)
        ).group_by(outbox.c.receiver, outbox.c.state)
        with self.database.read() as connection:
            found: dict[str, dict[str, tuple[int, int | None]]] = {}
            for receiver, state, count, last in connection.execute(query):
                found.setdefault(receiver, {})[state] = (count, last)
        return tuple(_delivery(receiver, states) for receiver, states in sorted(found.items()))

    def silences(self, now: int) -> tuple[Silence, ...]:
        """Return silences that have not ended, the next to end first."""
        with self.database.read() as connection:
            found = sorted(silences.current(connection, now), key=lambda silence: silence.ends)
        return tuple(s for s in found if names_only([str(m) for m in s.matchers], self._models))

    def _of(self, table: sa.Table, of: Of) -> list[sa.ColumnElement[bool]]:
        named = {"model": of.model, "version": of.version}
        chosen = [table.c[name] == value for name, value in named.items() if value is not None]
        return [*chosen, within(table.c.model, self._models)]


def within(column: sa.ColumnElement[str], models: tuple[str, ...]) -> sa.ColumnElement[bool]:
    """Return the condition that a model's name begins with one of these prefixes; true where there are none."""
    return sa.or_(*(column.startswith(p, autoescape=True) for p in models)) if models else sa.true()


def names_only(matchers: Sequence[str], models: tuple[str, ...]) -> bool:
    """Whether a silence's matchers keep it to one model of these prefixes (any silence, where there are none).

    >>> names_only(['model="a-1"', 'rule=~".*"'], ("a-",)), names_only(['rule="x"'], ("a-",))
    (True, False)
    """
    found = [re.fullmatch(r'model="([^"\\]*)"', text) for text in matchers]
    return not models or any(match is not None and match[1].startswith(models) for match in found)


def firing_by_version(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many alerts fire for each (model, version)."""
    names = (alerts.c.model, alerts.c.version)
    firing = sa.select(*names, sa.func.count().label("alerts")).where(
        alerts.c.state == str(AlertState.FIRING)
    )
    rows = connection.execute(firing.group_by(*names)).mappings()
    return {(row["model"], row["version"]): row["alerts"] for row in rows}


_ORDER = {AlertState.FIRING: 0, AlertState.PENDING: 1, AlertState.RESOLVED: 2, AlertState.INACTIVE: 3}


def _alert(row: RowMapping) -> Alert:
    fields = {name: row[name] for name in Alert.__dataclass_fields__}
    return Alert(**fields | {"state": AlertState(row["state"])})


def _acknowledged(row: RowMapping | None) -> Acknowledgement | None:
    return None if row is None else Acknowledgement(row["by"], row["note"], row["at"])


def _episodes(changes: Iterable[RowMapping]) -> list[Alert]:
    """Fold changes of state, oldest first, into firings, newest first."""
    open_: dict[str, Alert] = {}
    done: list[Alert] = []
    for row in changes:
        fingerprint, state = row["fingerprint"], AlertState(row["state"])
        if state is AlertState.FIRING:
            open_.setdefault(fingerprint, _fired(row))
        elif fingerprint in open_:
            began = open_.pop(fingerprint)
            done.append(_ended(began, row["at"]))
    return sorted([*done, *open_.values()], key=lambda alert: -(alert.fired_at or 0))


def _fired(row: RowMapping) -> Alert:
    names = ("rule", "model", "version", "segment", "severity", "annotations", "fingerprint")
    return Alert(
        **{name: row[name] for name in names},
        state=AlertState.FIRING,
        since=row["at"],
        fired_at=row["at"],
        labels={},
    )


def _ended(alert: Alert, at: int) -> Alert:
    names = {name: getattr(alert, name) for name in Alert.__dataclass_fields__}
    return Alert(**names | {"state": AlertState.RESOLVED, "since": at})


def _delivery(receiver: str, states: Mapping[str, tuple[int, int | None]]) -> DeliveryLine:
    nothing = (0, None)
    delivered, last = states.get("delivered", nothing)
    waiting, failed = states.get("pending", nothing)[0], states.get("failed", nothing)[0]
    return DeliveryLine(receiver, waiting, delivered, failed, last)


def _retraining(row: RowMapping) -> RetrainingLine:
    fields = {name: row[name] for name in RetrainingRequest.__dataclass_fields__}
    request = RetrainingRequest(**fields | {"status": RetrainingStatus(row["status"])})
    told = ("approved_by", "submitted", "finished", "new_version", "verdict", "action", "gpu_seconds",
            "time_to_recovery")  # fmt: skip
    return RetrainingLine(request, **{name: row[name] for name in told})
