"""Microsoft Teams, by a Workflows webhook that takes an adaptive card (the older connectors are retired).

Cards: https://adaptivecards.io/explorer/
"""

from __future__ import annotations

from typing import Any, ClassVar

from mlhealth.alerts.notice import Notice
from mlhealth.alerts.notifiers.base import Delivered, Notification, Notifier, lines_of, worded_links
from mlhealth.alerts.notifiers.http import deliver, json_call
from mlhealth.config.receivers import TeamsConfig

LONGEST_TEXT = 2_000
MOST_ALERTS = 6
"""A message is limited to 28 KB."""


class TeamsNotifier(Notifier):
    """Posts to one channel."""

    kind: ClassVar[str] = "teams"

    def __init__(self, config: TeamsConfig) -> None:
        self._config = config

    def send(self, notification: Notification) -> Delivered:
        card = card_of(notification)
        content_type = "application/vnd.microsoft.card.adaptive"
        message = {"type": "message", "attachments": [{"contentType": content_type, "content": card}]}
        deliver(json_call(str(self._config.url), message, self._config))
        return Delivered()


def card_of(notification: Notification) -> dict[str, Any]:
    """Return the card: a title, each alert's story, and links as buttons."""
    shown = notification.notices[:MOST_ALERTS]
    body = [_text(notification.title[:LONGEST_TEXT], weight="Bolder", size="Medium")]
    for notice in shown:
        body += [_text(text, spacing="Small") for text in _story(notice)]
    if len(shown) < len(notification.notices):
        body.append(_text(f"and {len(notification.notices) - len(shown)} more alerts"))
    links = worded_links(shown[0], notification.base_url)
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": name, "url": url} for name, url in links.items()],
    }


def _story(notice: Notice) -> list[str]:
    whole, lines = LONGEST_TEXT, []
    for line in lines_of(notice):
        lines.append(line[:whole])
        whole -= len(lines[-1])
        if whole <= 0:
            break
    return lines


def _text(text: str, **style: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _plain(text), "wrap": True, **style}


def _plain(text: str) -> str:
    """Return text whose characters Markdown would not take for formatting."""
    return "".join(f"\\{char}" if char in "\\*_[]()#`~" else char for char in text.replace("\x00", ""))
