"""What every test may use: real servers (tests/servers), tables beside the checkout, hypothesis settings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers.plugin"]

ROOT = Path(__file__).parents[1]

# The same examples on every run; no deadline, since a shared machine is sometimes slow.
settings.register_profile(
    "mlhealth", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "deep", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "mlhealth"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real tables beside the checkout; the test skips where it is not there."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside this checkout")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20260101)
