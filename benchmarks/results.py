"""Where a benchmark writes its figures, and the table it prints."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "results"

Cell = str | float | int | None
_VERSIONS = ("mlhealth", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "kafka-python", "orjson")


def write_results(
    name: str,
    figures: Mapping[str, Cell],
    rows: Sequence[Mapping[str, Cell]] = (),
    *,
    versions: Mapping[str, str] | None = None,
) -> Path:
    """Write `benchmarks/results/<name>.json`: figures by name, the table's rows, and on what they were measured."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.json"
    content = {
        "benchmark": name,
        "figures": dict(figures),
        "rows": [dict(row) for row in rows],
        "machine": machine(),
        "versions": {**installed_versions(), **(versions or {})},
        "commit": commit(),
        "measured": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False, default=float) + "\n")
    return file


def markdown_table(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Return rows as a Markdown table, aligned for a terminal; the first row's keys are the columns."""
    if not rows:
        return ""
    columns = list(rows[0])
    cells = [columns, *([_text(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [_line(line, widths) for line in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def machine() -> dict[str, Cell]:
    """Return what the figures were measured on: processor, cores, memory, load, system, Python."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_1m": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def installed_versions(names: Iterable[str] = _VERSIONS) -> dict[str, str]:
    """Return the versions of those packages that are installed here."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the checkout's commit, with `+` when it has changes; `unknown` outside a checkout."""
    try:
        return _git("rev-parse", "--short=12", "HEAD") + (
            "+" if _git("status", "--porcelain", "-uno") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _text(value: Cell) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
