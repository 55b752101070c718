"""Virtual environments of peers, which do not run on our versions of things: made when first needed, and kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def environment(name: str, requirements: Sequence[str]) -> Path | None:
    """Return the interpreter of the environment called `name`, making it if need be; None where that cannot be done."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mlhealth" / name
    python = home / "bin" / "python"
    if python.exists():
        return python
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    asked = [uv, "pip", "install", "--python", str(python), *requirements]
    try:
        subprocess.run([uv, "venv", "--python", "3.11", str(home)], check=True, capture_output=True)
        subprocess.run(asked, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        shutil.rmtree(home, ignore_errors=True)
        return None
    return python
