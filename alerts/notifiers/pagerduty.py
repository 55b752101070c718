"""PagerDuty, through Events API v2: trigger, acknowledge and resolve under our own dedup key.

API: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

from __future__ import annotations

from typing import Any, ClassVar

from mlhealth.alerts.notice import Notice, NoticeKind
from mlhealth.alerts.notifiers.base import (
    SEVERITIES,
    Delivered,
    Notification,
    Notifier,
    alert_summary,
    facts_of,
    links_of,
    worded_links,
)
from mlhealth.alerts.notifiers.http import deliver, json_call
from mlhealth.clock import to_iso
from mlhealth.config.receivers import PagerDutyConfig
from mlhealth.errors import DeliveryError

LONGEST_SUMMARY = 1024
LONGEST_DETAIL = 8_000
_ACTIONS = {
    NoticeKind.FIRING: "trigger",
    NoticeKind.ACKNOWLEDGED: "acknowledge",
    NoticeKind.RESOLVED: "resolve",
}


class PagerDutyNotifier(Notifier):
    """One event per alert; the alert's fingerprint is the dedup key, so a repetition is the same incident."""

    kind: ClassVar[str] = "pagerduty"

    def __init__(self, config: PagerDutyConfig) -> None:
        self._config = config

    def send(self, notification: Notification) -> Delivered:
        for notice in notification.notices:
            answer = deliver(
                json_call(str(self._config.url), self._event(notice, notification), self._config)
            )
            said = answer.json()
            if not isinstance(said, dict) or said.get("status") != "success":
                raise DeliveryError("PagerDuty's answer does not say success")
        return Delivered()

    def _event(self, notice: Notice, notification: Notification) -> dict[str, Any]:
        event: dict[str, Any] = {
            "routing_key": self._config.routing_key.get_secret_value(),
            "event_action": _ACTIONS[notice.kind],
            "dedup_key": f"mlhealth-{notice.alert.fingerprint}",
        }
        if notice.kind is NoticeKind.FIRING:
            links = links_of(notice, notification.base_url)
            event |= {"payload": _payload(notice), "client": "mlhealth"}
            worded = worded_links(notice, notification.base_url)
            event |= {"links": [{"href": link, "text": text} for text, link in worded.items()]}
            if "model" in links:
                event["client_url"] = links["model"]
        return event


def _payload(notice: Notice) -> dict[str, Any]:
    alert = notice.alert
    return {
        "summary": alert_summary(notice)[:LONGEST_SUMMARY],
        "source": f"{alert.model} {alert.version}",
        "severity": SEVERITIES[alert.severity],
        "timestamp": to_iso(alert.fired_at or alert.since),
        "component": alert.model,
        "group": alert.segment or "all traffic",
        "class": notice.story.cause,
        "custom_details": _details(notice) | {"values": dict(notice.values), "labels": dict(alert.labels)},
    }


def _details(notice: Notice) -> dict[str, str]:
    """Return the facts by word, those of one word below each other: PagerDuty shows them as a table."""
    found: dict[str, str] = {}
    for word, text in facts_of(notice):
        found[word] = f"{found[word]}\n{text}" if word in found else text
    return {word: text[:LONGEST_DETAIL] for word, text in found.items()}
