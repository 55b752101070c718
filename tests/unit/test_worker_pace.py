"""Checkpoints and closing take their share of a worker's time and no more."""

from __future__ import annotations

import time

import pytest

from mlhealth.clock import SECOND
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


@pytest.mark.parametrize(
    ("spent", "pause"), [(0, 5.0), (0.4, 5.0), (2.0, 20.0), (3_600.0, 60.0), (-3_600.0, 5.0)]
)
def test_slow_checkpoints_come_less_often(spent: float, pause: float) -> None:
    """One that takes two seconds leaves twenty to the rest; a clock that jumps meanwhile puts none off for long."""
    assert loop.Pace().after(int(spent * SECOND)) == pause * SECOND
