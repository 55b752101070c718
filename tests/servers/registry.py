"""What became of each real server in a run, told in one line each at its end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

import pytest

OUTCOMES = pytest.StashKey[dict[str, str]]()


def in_ci() -> bool:
    """Whether a missing server is a failure: `CI=true`."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def note(config: pytest.Config, server: str, outcome: str) -> None:
    """Remember what to tell of a server; the first word is `started` or `skipped`."""
    config.stash.setdefault(OUTCOMES, {})[server] = outcome


def unavailable(config: pytest.Config, server: str, reason: str, *, required_in_ci: bool = True) -> NoReturn:
    """Skip the test that wants this server, saying why; fail it where CI promised the server."""
    if required_in_ci and in_ci():
        note(config, server, f"MISSING with CI=true: {reason}")
        pytest.fail(f"{server}: {reason}", pytrace=False)
    note(config, server, f"skipped: {reason}")
    pytest.skip(f"{server}: {reason}")


def lines(outcomes: Sequence[dict[str, str]]) -> list[str]:
    """Return one line per server over the outcomes of all test processes."""
    merged: dict[str, str] = {}
    for outcome in outcomes:
        merged.update(outcome)
    return [f"{server:<13} {text}" for server, text in sorted(merged.items())]
