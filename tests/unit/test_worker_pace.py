"""When a checkpoint is due; and closing windows has its own time, whatever was waited for before."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mlhealth.clock import SECOND
from mlhealth.profile.layout import layout_of
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.worker import loop
from mlhealth.worker.growing import Partial
from tests.drift_builder import batch_of


@pytest.mark.parametrize(
    ("now", "labels", "unsaved", "due"),
    [
        (2 * SECOND, 0, 0, False),
        (6 * SECOND, 0, 0, True),
        (-2 * SECOND, 0, 0, True),
        (2 * SECOND, 50_000, 0, True),
        (2 * SECOND, 0, 64 * 1024 * 1024, True),
    ],
)
def test_a_checkpoint_is_due_by_the_clock_or_by_what_waits_for_it(
    now: int, labels: int, unsaved: int, due: bool
) -> None:
    """Five seconds, a clock set back, many labels, or windows that would pile up in memory bring one about."""
    intake = SimpleNamespace(labels=labels, unsaved_bytes=unsaved)
    parts = SimpleNamespace(
        intake=intake, metrics=None, clock=SimpleNamespace(now=lambda: 0), closer=SimpleNamespace()
    )
    worker = loop.Worker(cast("Any", parts), "one")
    assert worker._is_due(now) is due


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


def test_windows_count_as_unsaved_until_a_checkpoint_holds_them() -> None:
    """A partial's sample counts with eight bytes a value, and no more once it was saved."""
    rng = np.random.default_rng(0)
    rows = batch_of({"x": rng.normal(size=300), "z": rng.normal(size=300)}, rng)
    layout = layout_of(rows)
    partial = Partial(WindowProfile.empty(layout), end=1, first_offset=0)
    assert partial.unsaved_bytes == 0
    partial.merge(WindowProfile.of(rows, layout))
    assert partial.unsaved_bytes == 8 * len(layout.columns) * 300
    partial.saved = partial.rows
    assert partial.unsaved_bytes == 0
