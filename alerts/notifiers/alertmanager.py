"""Prometheus Alertmanager, through its API v2: it groups, inhibits and routes on; we keep telling it what fires.

API: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

from typing import Any, ClassVar

from mlhealth.alerts.notice import Notice, NoticeKind
from mlhealth.alerts.notifiers.base import Delivered, Notification, Notifier
from mlhealth.alerts.notifiers.http import deliver, json_call
from mlhealth.alerts.notifiers.webhook import alert_of
from mlhealth.clock import to_iso
from mlhealth.config.receivers import ALERTMANAGER_REPEAT, AlertmanagerConfig


class AlertmanagerNotifier(Notifier):
    """Posts alerts to `/api/v2/alerts`; one that is not told again ends by itself after three repeats."""

    kind: ClassVar[str] = "alertmanager"

    def __init__(self, config: AlertmanagerConfig) -> None:
        self._config = config
        self._url = f"{str(config.url).rstrip('/')}/api/v2/alerts"

    def send(self, notification: Notification) -> Delivered:
        alerts = [_postable(n, notification.base_url, notification.now) for n in notification.notices]
        deliver(json_call(self._url, alerts, self._config))
        return Delivered()


def _postable(notice: Notice, base_url: str, now: int) -> dict[str, Any]:
    alert = alert_of(notice, base_url)
    resolved = notice.kind is NoticeKind.RESOLVED
    postable = {
        "labels": {name: value for name, value in alert["labels"].items() if value},
        "annotations": alert["annotations"],
        "startsAt": alert["startsAt"],
        "endsAt": to_iso(now if resolved else now + 3 * ALERTMANAGER_REPEAT),
    }
    return postable | ({"generatorURL": alert["generatorURL"]} if alert["generatorURL"] else {})
