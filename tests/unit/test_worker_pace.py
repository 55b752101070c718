"""Closing windows has its own time, whatever was waited for before."""

from __future__ import annotations

import time

import pytest

from mlhealth.worker import loop


def test_the_time_to_close_begins_with_the_first_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that took long to tell the ends of its partitions leaves closing all of its seconds."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    expired = loop._limit(2.0)
    now[0] += 60.0  # the broker is asked
    assert not expired()
    now[0] += 1.9
    assert not expired()
    now[0] += 0.2
    assert expired()
