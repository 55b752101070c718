"""Every script in examples/ runs as a reader would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDS = {"pytorch.py": "torch"}
"""Packages too large to be fetched for a test."""


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda file: file.name)
def test_example_runs(script: Path, tmp_path: Path) -> None:
    """The script ends without an error or a warning, from any folder, and prints something."""
    needed = NEEDS.get(script.name)
    if needed and find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    command = [sys.executable, "-W", "error", str(script)]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
    told = subprocess.run(command, cwd=tmp_path, env=quiet, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip()
    assert not told.stderr
