"""The contract of every receiver of notifications.

`send` may block, up to the receiver's own timeout. It returns when the receiver has said that it took the
notification; raises DeliveryError where a retry can help (with `retry_after` where the receiver named a time), and
PermanentError where a person must change something. It may be called again with the same notification, from any
thread, and gives the receiver what it needs to recognise the repetition. Secrets appear in no message it raises.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import quote, urlencode

from mlhealth.alerts.notice import Notice, NoticeKind
from mlhealth.clock import format_duration, to_minute


@dataclass(frozen=True)
class Notification:
    """News of one group of alerts for one receiver.

    `id` is the same each time the same news is sent. `group` are the labels the notices share. `base_url` is where
    people find the product's pages ("" where it was not configured). `references` are what the receiver called its
    own messages about these alerts, by fingerprint. `now` is wall time, in microseconds.
    """

    id: str
    receiver: str
    notices: tuple[Notice, ...]
    group: Mapping[str, str] = field(default_factory=dict)
    base_url: str = ""
    references: Mapping[str, str] = field(default_factory=dict)
    now: int = 0

    @property
    def firing(self) -> tuple[Notice, ...]:
        """The notices of alerts that still fire."""
        return tuple(notice for notice in self.notices if notice.kind is not NoticeKind.RESOLVED)

    @property
    def title(self) -> str:
        """One line that says what happened."""
        first = (self.firing or self.notices)[0]
        more = len(self.notices) - 1
        kinds = {notice.kind for notice in self.firing}
        mark = "ACKNOWLEDGED" if kinds == {NoticeKind.ACKNOWLEDGED} else "FIRING" if kinds else "RESOLVED"
        return f"[{mark}] {first.story.title}{f' (and {more} more)' if more else ''}"


@dataclass(frozen=True)
class Delivered:
    """The receiver took the notification; `reference` is its own name for the message, where it can be updated."""

    reference: str | None = None


class Notifier(ABC):
    """One receiver; immutable."""

    kind: ClassVar[str]
    """The name by which users choose it in mlhealth.yaml."""

    @abstractmethod
    def send(self, notification: Notification) -> Delivered:
        """Hand over the notification; see the module for what is raised."""


def labels_of(notice: Notice) -> dict[str, str]:
    """Return the labels by which receivers route and match an alert; the same for its whole life."""
    alert = notice.alert
    own = {
        "alertname": alert.rule,
        "model": alert.model,
        "version": alert.version,
        "severity": alert.severity,
    }
    return {**alert.labels, **own} | ({"segment": alert.segment} if alert.segment else {})


def links_of(notice: Notice, base_url: str) -> dict[str, str]:
    """Return the pages a person may want: the model, a silence, "this page was useless", the runbook."""
    alert = notice.alert
    links = {}
    if base_url:
        base = base_url.rstrip("/")
        model = f"{base}/models/{quote(alert.model, safe='')}/versions/{quote(alert.version, safe='')}"
        matchers = [f'alertname="{alert.rule}"', f'model="{alert.model}"', f'version="{alert.version}"']
        links["model"] = f"{model}/windows/{notice.window.start}"
        if notice.kind is not NoticeKind.RESOLVED:
            links["silence"] = f"{base}/silences/new?{urlencode({'matcher': matchers}, doseq=True)}"
        links["useless"] = f"{base}/alerts/{alert.fingerprint}/useless"
    if notice.approval_url:
        links["approve retraining"] = notice.approval_url
    if "runbook_url" in alert.annotations:
        links["runbook"] = alert.annotations["runbook_url"]
    return links


def facts_of(notice: Notice) -> list[tuple[str, str]]:
    """Return what a person needs to know, as pairs of a word and a sentence, the most important first."""
    story, alert = notice.story, notice.alert
    done = [("Done already", done) for done in story.done]
    began = alert.fired_at if alert.fired_at is not None else alert.since
    if notice.kind is NoticeKind.RESOLVED:
        lasted = f"{format_duration(alert.since - began)}, {to_minute(began)} to {to_minute(alert.since)}"
        return [("Now", story.harm), ("It lasted", lasted), *done]
    why = [reason for reason in story.reasons if reason not in alert_summary(notice)]
    judged = f"; judged on {story.window}" if story.window else ""
    return [
        ("How bad", story.harm),
        ("Cause", story.cause),
        ("Whose", story.owner),
        ("Since", f"{to_minute(began)}{judged}"),
        *(("Why", reason) for reason in why),
        *done,
    ]


def lines_of(notice: Notice) -> list[str]:
    """Return the story in plain lines, for receivers that show text."""
    return [headline(notice), *(f"{word}: {text}" for word, text in facts_of(notice))]


def headline(notice: Notice) -> str:
    """Return what happened in one line: the rule's own summary while it fires, else that it is over."""
    return notice.story.title if notice.kind is NoticeKind.RESOLVED else alert_summary(notice)


def alert_summary(notice: Notice) -> str:
    """Return the rule's own summary, or the story's title."""
    return notice.alert.annotations.get("summary") or notice.story.title


def worded_links(notice: Notice, base_url: str) -> dict[str, str]:
    """Return the links of `links_of` by what following them is good for, in words."""
    return {_LINK_WORDS[name]: link for name, link in links_of(notice, base_url).items()}


_LINK_WORDS = {
    "model": "See the window",
    "silence": "Silence it",
    "useless": "This page was useless",
    "approve retraining": "Approve the retraining",
    "runbook": "Runbook",
}

SEVERITIES: Mapping[str, str] = {
    "page": "critical",
    "critical": "critical",
    "warning": "warning",
    "info": "info",
}
"""Our severities in the words that most pagers know."""
