"""One suite over every notifier that exists, against a strict receiver that also misbehaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from standardwebhooks import Webhook

from mlhealth.alerts.engine import START, step
from mlhealth.alerts.notice import NoticeKind
from mlhealth.alerts.notifiers.base import Notification, Notifier
from mlhealth.alerts.notifiers.registry import notifier, notifier_class
from mlhealth.clock import SystemClock
from mlhealth.config.receivers import RECEIVER_KINDS, ReceiverConfig
from mlhealth.errors import DeliveryError, PermanentError
from tests.alert_rules import design_rules, window
from tests.strict_receiver import Answer, Reply, Request, StrictReceiver, receiver

SECRET = "whsec_c2VjcmV0LW9mLXRoZS1vbmNhbGwtcmVjZWl2ZXI="
ROUTING_KEY = "0123456789abcdef0123456789abcdef"


def _bad(why: str) -> Reply:
    return Reply(400, json.dumps({"message": why}).encode())


def judge_webhook(request: Request) -> Answer:
    """Alertmanager's version 4 body with a valid Standard-Webhooks signature."""
    Webhook(SECRET).verify(request.body, request.headers)
    body = request.json
    alert = body["alerts"][0]
    whole = {"version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
             "commonAnnotations", "externalURL", "alerts"}  # fmt: skip
    each = {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
    texts = [*alert["labels"].values(), *alert["annotations"].values()]
    fine = set(body) == whole and set(alert) == each and body["version"] == "4"
    return Reply() if fine and all(isinstance(t, str) for t in texts) else _bad("not version 4")


def judge_alertmanager(request: Request) -> Answer:
    """An array of postable alerts."""
    for alert in request.json:
        if not set(alert) <= {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}:
            return _bad("unknown key")
        if "alertname" not in alert["labels"]:
            return _bad("no alertname")
    return Reply(200, b"") if request.path == "/api/v2/alerts" else Reply(404)


def judge_pagerduty(request: Request) -> Answer:
    """An event of Events API v2."""
    event = request.json
    payload = event.get("payload", {})
    wanted = event["event_action"] != "trigger" or (
        len(payload["summary"]) <= 1024
        and payload["severity"] in ("critical", "error", "warning", "info")
        and payload["source"]
    )
    fine = len(event["routing_key"]) == 32 and 0 < len(event["dedup_key"]) <= 255 and wanted
    answer = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
    return Reply(202, json.dumps(answer).encode()) if fine else _bad("invalid event")


def judge_slack(request: Request) -> Answer:
    """An incoming webhook's message."""
    message = request.json
    lengths = [len(b["text"]["text"]) for b in message["blocks"] if "text" in b]
    fine = message["text"] and len(message["blocks"]) <= 50 and max(lengths) <= 3000
    return Reply(200, b"ok", {"content-type": "text/plain"}) if fine else Reply(400, b"invalid_blocks")


def judge_teams(request: Request) -> Answer:
    """A Workflows message with one adaptive card."""
    message = request.json
    card = message["attachments"][0]
    fine = (
        message["type"] == "message"
        and card["contentType"] == "application/vnd.microsoft.card.adaptive"
        and card["content"]["type"] == "AdaptiveCard"
        and len(request.body) <= 28_000
    )
    return Reply(202, b"") if fine else _bad("not a card")


@dataclass(frozen=True)
class Case:
    """How to reach a strict receiver with one kind of notifier."""

    judge: Callable[[Request], Answer]
    config: Callable[[str], dict[str, Any]]


CASES = {
    "webhook": Case(judge_webhook, lambda url: {"url": url, "secret": SECRET}),
    "alertmanager": Case(judge_alertmanager, lambda url: {"url": url}),
    "pagerduty": Case(judge_pagerduty, lambda url: {"url": f"{url}/v2/enqueue", "routing_key": ROUTING_KEY}),
    "slack": Case(judge_slack, lambda url: {"webhook": f"{url}/services/T/B/X"}),
    "teams": Case(judge_teams, lambda url: {"url": url}),
}
NOT_HTTP = {"email", "apprise"}
"""Kinds that speak another protocol; each has tests of its own."""

KINDS = sorted(CASES)


def news(kind: NoticeKind = NoticeKind.FIRING, *, text: str = "") -> Notification:
    """Return a notification of one alert."""
    notice = step(design_rules(), window(0), START).notices[0]
    alert = replace(notice.alert, annotations={"summary": text}) if text else notice.alert
    notice = replace(notice, kind=kind, alert=alert)
    labels = {"model": "loan-default", "version": "3"}
    return Notification(
        "msg_1", "oncall", (notice,), labels, "https://mlhealth.example", now=SystemClock().now()
    )


def made(kind: str, server: StrictReceiver, **more: Any) -> Notifier:
    """Return a notifier of this kind that talks to the server."""
    config = {"timeout": "10s", **CASES[kind].config(server.url), **more}
    return notifier("oncall", ReceiverConfig.model_validate({kind: config}))


def test_every_kind_is_in_the_suite() -> None:
    """A notifier that is added without a strict receiver fails here."""
    assert set(CASES) | NOT_HTTP == set(RECEIVER_KINDS)
    for kind in RECEIVER_KINDS:
        assert issubclass(notifier_class(kind), Notifier)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("news_kind", list(NoticeKind))
def test_news_of_every_kind_is_taken(kind: str, news_kind: NoticeKind) -> None:
    """Firing, resolved and acknowledged news have the shape that the receiver's description asks for."""
    with receiver(CASES[kind].judge) as server:
        made(kind, server).send(news(news_kind))
        assert len(server.taken) == len(server.seen)


@pytest.mark.parametrize("kind", KINDS)
def test_very_long_and_odd_texts_are_taken(kind: str) -> None:
    """Markup, control characters and twenty thousand letters fit into what the receiver allows."""
    with receiver(CASES[kind].judge) as server:
        made(kind, server).send(news(text='<script>&"</script> \u0000 *_`~ ✓ ' + "x" * 20_000))
        assert len(server.taken) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_news_carries_the_same_identity(kind: str) -> None:
    """Sent twice, as after a lost answer, the receiver sees the same news and not a second alert."""
    with receiver(CASES[kind].judge) as server:
        for _ in range(2):
            made(kind, server).send(news())
        first, second = server.taken
        assert first.headers.get("webhook-id") == second.headers.get("webhook-id")
        assert (first.json if isinstance(first.json, dict) else first.json[0]["labels"]) == (
            second.json if isinstance(second.json, dict) else second.json[0]["labels"]
        )


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_requests_names_when_to_come_back(kind: str) -> None:
    """A 429 with Retry-After, in seconds or as a date, is an error to retry at that time."""
    with receiver(CASES[kind].judge) as server:
        server.script = [Reply(429, b"", {"retry-after": "7"})]
        with pytest.raises(DeliveryError) as caught:
            made(kind, server).send(news())
        assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["hang", "drip", "reset", "half", 500, 502, 503])
def test_what_may_pass_is_retried(kind: str, fault: str | int) -> None:
    """Timeouts, a dripping answer, resets and server errors are errors to retry, within the timeout."""
    with receiver(CASES[kind].judge) as server:
        server.script = [Reply(fault, b"<html>oops") if isinstance(fault, int) else fault]
        began = time.monotonic()
        with pytest.raises(DeliveryError):
            made(kind, server, timeout="500ms").send(news())
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 410, 413])
def test_what_cannot_help_is_not_retried(kind: str, status: int) -> None:
    """Redirects to another host are not followed, and refusals are final; the message is one line."""
    with receiver(CASES[kind].judge) as server:
        server.script = [
            Reply(status, b"<html>no", {"location": "http://elsewhere.example/", "content-type": "text/html"})
        ]
        with pytest.raises(PermanentError) as caught:
            made(kind, server).send(news())
        assert "\n" not in str(caught.value)
        assert len(server.seen) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_receiver_that_is_not_there_is_retried(kind: str) -> None:
    """A refused connection is an error to retry that names the host."""
    with receiver(CASES[kind].judge) as server:
        pass
    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1"):
        made(kind, server).send(news())


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_never_shown(kind: str) -> None:
    """Neither the configuration's text nor an error shows a secret."""
    with receiver(CASES[kind].judge) as server:
        server.script = [Reply(403, b"forbidden")]
        config = ReceiverConfig.model_validate({kind: CASES[kind].config(server.url)})
        with pytest.raises(PermanentError) as caught:
            made(kind, server).send(news())
    for secret in (SECRET, ROUTING_KEY):
        assert secret not in repr(config)
        assert secret not in str(caught.value)
