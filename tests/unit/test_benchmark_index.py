"""The benchmarks' page names each benchmark that there is."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_every_benchmark_is_in_the_index() -> None:
    """The table of benchmarks/README.md has one row for each module or package that `make bench-NAME` runs."""
    runnable = {path.parent.name for path in FOLDER.glob("*/__main__.py")}
    runnable |= {
        path.stem for path in FOLDER.glob("*.py") if "\ndef main(" in path.read_text(encoding="utf-8")
    }
    named = re.findall(r"^\| `(\w+)` \|", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(runnable)
