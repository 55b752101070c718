"""What the house's own checks say is what they find."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["audit", "sbom_check", "secrets_scan"])
def test_the_examples_of_the_checks_hold(name: str) -> None:
    """A weakness fails, what could not be asked is said, a missing component and a secret are found."""
    result = doctest.testmod(import_module(f"scripts.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
