"""Which notices travel in one message, and by what id a receiver knows the message again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from mlhealth.alerts.notice import Notice
from mlhealth.store.outbox import Claim


def grouped(claims: Sequence[Claim], keys: Sequence[str]) -> Iterator[list[Claim]]:
    """Yield claims that belong in one message: sent together before, or new and of the same group."""
    groups: dict[tuple[str, ...], list[Claim]] = {}
    for claimed in claims:
        labels = tuple(group_labels(claimed.notice, keys).values())
        groups.setdefault((claimed.batch or "", *labels), []).append(claimed)
    yield from groups.values()


def group_labels(notice: Notice, keys: Sequence[str]) -> dict[str, str]:
    """Return the values of the labels that a receiver groups by."""
    alert = notice.alert
    have = {"model": alert.model, "version": alert.version, "segment": alert.segment, "rule": alert.rule,
            "severity": alert.severity}  # fmt: skip
    return {key: have[key] for key in keys}


def batch_id(group: Sequence[Claim]) -> str:
    """Return the id of a message: the same for the same news, however often it is sent."""
    text = "\x1f".join(sorted(claimed.notice.key for claimed in group))
    return f"msg_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
