"""The generic webhook: Alertmanager's version 4 body, which most tools read, signed after Standard Webhooks.

Body: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
Signature: https://www.standardwebhooks.com - `webhook-id` is the same for every repetition of the same news.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, ClassVar

import orjson
from standardwebhooks import Webhook

from mlhealth.alerts.notice import Notice, NoticeKind
from mlhealth.alerts.notifiers.base import (
    Delivered,
    Notification,
    Notifier,
    alert_summary,
    labels_of,
    links_of,
)
from mlhealth.alerts.notifiers.http import Call, deliver, json_call
from mlhealth.clock import to_datetime, to_iso
from mlhealth.config.receivers import WebhookConfig

NEVER = "0001-01-01T00:00:00Z"
"""What Alertmanager writes as the end of an alert that has none."""


class WebhookNotifier(Notifier):
    """Posts to one address."""

    kind: ClassVar[str] = "webhook"

    def __init__(self, config: WebhookConfig) -> None:
        self._config = config
        secret = config.secret.get_secret_value() if config.secret else None
        self._signer = signer(secret) if secret else None

    def send(self, notification: Notification) -> Delivered:
        call = json_call(str(self._config.url), body_of(notification), self._config)
        deliver(signed(call, self._signer, notification.id, notification.now))
        return Delivered()


def signer(secret: str) -> Webhook:
    """Return the signer of a secret: `whsec_` and base64; any other text is taken as the bytes of the key itself."""
    return Webhook(secret if secret.startswith("whsec_") else b64encode(secret.encode()).decode())


def signed(call: Call, webhook: Webhook | None, id_: str, now: int) -> Call:
    """Return the call with its id, time and signature headers (without a signer, the id only)."""
    headers = {"webhook-id": id_}
    if webhook is not None:
        moment = to_datetime(now)
        headers["webhook-timestamp"] = str(int(moment.timestamp()))
        headers["webhook-signature"] = webhook.sign(id_, moment, call.body.decode())
    return call.adding(headers)


def body_of(notification: Notification) -> dict[str, Any]:
    """Return the notification in the words of Alertmanager's webhook."""
    alerts = [alert_of(notice, notification.base_url) for notice in notification.notices]
    return {
        "version": "4",
        "groupKey": group_key(notification),
        "truncatedAlerts": 0,
        "status": "firing" if notification.firing else "resolved",
        "receiver": notification.receiver,
        "groupLabels": dict(notification.group),
        "commonLabels": _shared([alert["labels"] for alert in alerts]),
        "commonAnnotations": _shared([alert["annotations"] for alert in alerts]),
        "externalURL": notification.base_url,
        "alerts": alerts,
    }


def group_key(notification: Notification) -> str:
    """Return the name of the group in Alertmanager's manner."""
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(notification.group.items()))
    return f"{{}}:{{{labels}}}"


def alert_of(notice: Notice, base_url: str) -> dict[str, Any]:
    """Return one alert of the body; the story and the numbers travel as annotations."""
    alert, story = notice.alert, notice.story
    resolved = notice.kind is NoticeKind.RESOLVED
    links = links_of(notice, base_url)
    annotations = {
        "summary": alert_summary(notice),
        "cause": story.cause,
        "owner": story.owner,
        "harm": story.harm,
        "window": story.window,
        "reasons": "; ".join(story.reasons),
        "done": "; ".join(story.done),
        **{f"link_{name.replace(' ', '_')}": link for name, link in links.items()},
        **alert.annotations,
        "values": orjson.dumps(dict(notice.values)).decode(),
    }
    return {
        "status": "resolved" if resolved else "firing",
        "labels": labels_of(notice),
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": to_iso(alert.fired_at if alert.fired_at is not None else alert.since),
        "endsAt": to_iso(alert.since) if resolved else NEVER,
        "generatorURL": links.get("model", ""),
        "fingerprint": alert.fingerprint,
    }


def _shared(dictionaries: list[dict[str, str]]) -> dict[str, str]:
    first, *rest = dictionaries
    return {name: text for name, text in first.items() if all(other.get(name) == text for other in rest)}
