"""The `story` fixture: a long test that prints each step as it passes."""

from __future__ import annotations

import time

import pytest


class Story:
    """Tells its steps with the seconds each took; a step is told after it has passed."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self._last = time.monotonic()

    def step(self, text: str) -> None:
        """Print `ok   1.2s  text`, timed from the step before."""
        now = time.monotonic()
        self._print(f"ok {now - self._last:6.1f}s  {text}")
        self._last = now

    def say(self, text: str) -> None:
        """Print a line that is no step: a number measured, a table."""
        self._print(f"            {text}")

    def _print(self, line: str) -> None:
        with self._capture.disabled():
            print(line, flush=True)


@pytest.fixture
def story(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Story:
    """Tell the steps of a story; the test is marked `story` and run with `make e2e STORY=name`."""
    told = Story(capsys)
    told.say(f"story: {request.node.name}")
    return told
