"""Alerts that mlhealth raises about its own work, beside those of rules: they are told, silenced and resolved alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, select

from mlhealth.alerts.notice import Notice, NoticeKind, Story, fingerprint, notice_key
from mlhealth.records import Alert, AlertState, WindowKey
from mlhealth.store.alert_tables import alerts, enqueue, outbox, record_transitions

OWNER = "whoever runs mlhealth"


@dataclass(frozen=True)
class Trouble:
    """What is wrong. `model` and `version` say where; the same rule and place is the same alert."""

    rule: str
    model: str
    version: str
    summary: str
    severity: str = "critical"
    owner: str = OWNER
    reasons: tuple[str, ...] = ()
    done: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What identifies the alert for its whole life."""
        return fingerprint(self.rule, self.model, self.version, "")


def raise_alert(connection: Connection, trouble: Trouble, receivers: Sequence[str], now: int) -> bool:
    """Let the alert fire and tell the receivers; False where it fires already."""
    standing = _standing(connection, trouble.fingerprint)
    if standing is not None and standing["state"] == AlertState.FIRING:
        return False
    alert = _alert(trouble, AlertState.FIRING, now, now)
    record_transitions(connection, [alert], now)
    enqueue(connection, [_notice(alert, trouble, receiver, now) for receiver in receivers], now)
    return True


def end_alert(connection: Connection, trouble: Trouble, now: int) -> bool:
    """Resolve the alert and tell whom it was told to; False where it does not fire."""
    standing = _standing(connection, trouble.fingerprint)
    if standing is None or standing["state"] != AlertState.FIRING:
        return False
    alert = _alert(trouble, AlertState.RESOLVED, now, standing["fired_at"])
    told = select(outbox.c.receiver).where(outbox.c.fingerprint == alert.fingerprint).distinct()
    receivers = [row.receiver for row in connection.execute(told)]
    record_transitions(connection, [alert], now)
    enqueue(connection, [_notice(alert, trouble, receiver, now) for receiver in receivers], now)
    return True


def firing(connection: Connection, rules: Sequence[str], before: int | None = None) -> list[Trouble]:
    """Return what fires of these rules, since earlier than `before` where that is given."""
    query = select(alerts).where(alerts.c.rule.in_(rules), alerts.c.state == AlertState.FIRING)
    if before is not None:
        query = query.where(alerts.c.since < before)
    return [
        Trouble(r.rule, r.model, r.version, r.annotations.get("summary", ""), r.severity)
        for r in connection.execute(query)
    ]


def _standing(connection: Connection, mark: str) -> RowMapping | None:
    query = select(alerts.c.state, alerts.c.fired_at).where(alerts.c.fingerprint == mark)
    return connection.execute(query).mappings().first()


def _alert(trouble: Trouble, state: AlertState, now: int, fired_at: int | None) -> Alert:
    labels: Mapping[str, str] = {}
    return Alert(
        rule=trouble.rule,
        model=trouble.model,
        version=trouble.version,
        segment="",
        state=state,
        severity=trouble.severity,
        since=now,
        fired_at=fired_at,
        labels=labels,
        annotations={"summary": trouble.summary},
        fingerprint=trouble.fingerprint,
    )


def _notice(alert: Alert, trouble: Trouble, receiver: str, now: int) -> Notice:
    resolved = alert.state is AlertState.RESOLVED
    kind = NoticeKind.RESOLVED if resolved else NoticeKind.FIRING
    word = "resolved: " if resolved else ""
    story = Story(
        title=f"{trouble.rule}: {word}{trouble.summary}",
        cause="mlhealth itself" if trouble.owner == OWNER else "retraining",
        owner=trouble.owner,
        harm=trouble.summary,
        window="",
        reasons=trouble.reasons,
        done=trouble.done,
    )
    key = notice_key(alert.fingerprint, kind, now, 0, receiver)
    window = WindowKey(alert.model, alert.version, "", now, now)
    return Notice(key, receiver, kind, alert, window, story)
