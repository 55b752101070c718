"""Virtual environments of their own for heavy peers (Ray, MLflow): made when first wanted, kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.servers.registry import unavailable

ROOT = Path(__file__).parents[2]


def python_with(
    pytestconfig: pytest.Config, name: str, packages: Sequence[str], *, with_service: bool = False
) -> Path:
    """Return the Python of an environment that has `packages` (and all that mlhealth's service needs, where asked).

    `<NAME>_PYTHON` in the environment names one that is there already. Skips the test where it cannot be made.
    """
    told = os.environ.get(f"{name.upper()}_PYTHON")
    if told:
        return Path(told)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mlhealth"
    home = cache / f"{name}-{packages[0].rpartition('==')[2]}"
    python = home / "bin" / "python"
    if python.exists():
        return python
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    ours = ["-r", str(ROOT / "pyproject.toml"), "--extra", "service"] if with_service else []
    try:
        subprocess.run([uv, "venv", "--python", sys.executable, str(home)], check=True, capture_output=True)
        install = [uv, "pip", "install", "--python", str(python), *packages, *ours]
        subprocess.run(install, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(home, ignore_errors=True)
        said = getattr(error, "stderr", b"") or b""
        reason = said.decode(errors="replace").strip().splitlines()[-1:] or [str(error)]
        unavailable(pytestconfig, name, f"cannot be installed: {reason[0]}", required_in_ci=False)
    return python
