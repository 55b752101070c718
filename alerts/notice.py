"""What is told of an alert: the words for a sleepy person, and the rows that go to the outbox."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import TypeAdapter

from mlhealth.records import Alert, WindowKey


class NoticeKind(StrEnum):
    """What a receiver is told."""

    FIRING = "firing"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True)
class Story:
    """An alert in words a sleepy person understands.

    `cause` names one of the four kinds, `owner` whose it usually is; `harm` how bad it is (estimate with interval,
    was); `reasons` why, most important first; `done` what the product did already.
    """

    title: str
    cause: str
    owner: str
    harm: str
    window: str
    reasons: tuple[str, ...] = ()
    done: tuple[str, ...] = ()


@dataclass(frozen=True)
class Notice:
    """One alert's news for one receiver; a row of the outbox.

    `key` is the same however often the same window is evaluated, so that a rerun adds no second row. `request` is the
    retraining request that awaits approval, if one does; `approval_url` is filled in when the notice is sent.
    """

    key: str
    receiver: str
    kind: NoticeKind
    alert: Alert
    window: WindowKey
    story: Story
    values: Mapping[str, float] = field(default_factory=dict)
    request: str | None = None
    approval_url: str = ""


def notice_key(fingerprint: str, kind: NoticeKind, window_end: int, revision: int, receiver: str) -> str:
    """Return the outbox key of a notice."""
    text = "\x1f".join((fingerprint, kind, str(window_end), str(revision), receiver))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def fingerprint(rule: str, model: str, version: str, segment: str) -> str:
    """Return what identifies an alert for its whole life; receivers use it as their dedup key."""
    return hashlib.sha256(f"{rule}\x1f{model}\x1f{version}\x1f{segment}".encode()).hexdigest()[:32]


_NOTICE = TypeAdapter(Notice)


def to_json(notice: Notice) -> str:
    """Return the notice as JSON text."""
    return _NOTICE.dump_json(notice).decode()


def from_json(text: str | bytes) -> Notice:
    """Return the notice of `to_json`; raises pydantic.ValidationError where the text is another thing."""
    return _NOTICE.validate_json(text)
