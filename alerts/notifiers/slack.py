"""Slack: Block Kit messages by an incoming webhook, or by a bot token, whose messages are updated when alerts end.

Blocks: https://api.slack.com/reference/block-kit/blocks
"""

from __future__ import annotations

from typing import Any, ClassVar

from mlhealth.alerts.notice import Notice
from mlhealth.alerts.notifiers.base import (
    Delivered,
    Notification,
    Notifier,
    facts_of,
    headline,
    worded_links,
)
from mlhealth.alerts.notifiers.http import Answer, deliver, json_call, retry_after
from mlhealth.config.receivers import SlackConfig
from mlhealth.errors import DeliveryError, PermanentError

LONGEST_HEADER = 150
LONGEST_SECTION = 3_000
MOST_ALERTS = 20
_PASSING = {
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
}


class SlackNotifier(Notifier):
    """Posts to one channel."""

    kind: ClassVar[str] = "slack"

    def __init__(self, config: SlackConfig) -> None:
        self._config = config

    def send(self, notification: Notification) -> Delivered:
        message = message_of(notification)
        if self._config.webhook is not None:
            deliver(json_call(str(self._config.webhook), message, self._config))
            return Delivered()
        known = set(notification.references.values())
        message["channel"] = self._config.channel
        if len(known) == 1:
            return Delivered(self._call("chat.update", message | {"ts": known.pop()}))
        return Delivered(self._call("chat.postMessage", message))

    def _call(self, method: str, message: dict[str, Any]) -> str:
        call = json_call(f"{str(self._config.api).rstrip('/')}/{method}", message, self._config)
        return _timestamp(deliver(call.bearing(self._config.token)))


def message_of(notification: Notification) -> dict[str, Any]:
    """Return the message: a header, and a section per alert with its story and links."""
    shown = notification.notices[:MOST_ALERTS]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": notification.title[:LONGEST_HEADER]}}
    ]
    blocks += [_section(notice, notification) for notice in shown]
    if len(shown) < len(notification.notices):
        more = f"and {len(notification.notices) - len(shown)} more alerts"
        blocks.append({"type": "section", "text": {"type": "plain_text", "text": more}})
    return {"text": escaped(notification.title)[:LONGEST_SECTION], "blocks": blocks}


def escaped(text: str) -> str:
    """Return text in which Slack sees no markup of links or mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\x00", "")


def _section(notice: Notice, notification: Notification) -> dict[str, Any]:
    found = worded_links(notice, notification.base_url)
    links = " | ".join(f"<{link}|{name}>" for name, link in found.items())
    head = headline(notice)
    lead = [] if head in notification.title else [f"*{escaped(head)}*"]
    text = "\n".join([*lead, *(f"*{word}:* {escaped(text)}" for word, text in facts_of(notice))])
    room = LONGEST_SECTION - len(links) - 1
    return {"type": "section", "text": {"type": "mrkdwn", "text": f"{text[:room]}\n{links}".strip()}}


def _timestamp(answer: Answer) -> str:
    """Return the message's name; Slack answers 200 with `ok: false` where it refuses."""
    said = answer.json()
    if isinstance(said, dict) and said.get("ok") and said.get("ts"):
        return str(said["ts"])
    error = said.get("error", "no reason given") if isinstance(said, dict) else "no object"
    if error in _PASSING:
        raise DeliveryError(f"Slack: {error}", retry_after=retry_after(answer.headers))
    raise PermanentError(f"Slack refused: {error}")
