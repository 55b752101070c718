"""`make bench-fuzz ARGS="--inputs 1000000"`: damaged messages for every format; crashes and slow cases end it with 1.

`--seconds` bounds the CPU time of each format; the table says how many inputs each really got. Inputs that crash are
written to `benchmarks/results/crashes/`. The results are written format by format, as each is done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.results import FOLDER, Cell, markdown_table, write_results
from mlhealth.events.formats.base import formats
from tests.fuzzing import Found, Fuzzer

STEP = 12_800
"""Inputs between two signs of life."""


def fuzzed(name: str, inputs: int, seconds: float, seed: int) -> tuple[Found, float]:
    """Fuzz a format; return what was found, and the CPU seconds it took."""
    fuzzer, begin = Fuzzer(name, seed), time.process_time()

    def until() -> bool:
        return time.process_time() - begin > seconds

    while fuzzer.found.inputs < inputs and not until():
        found = fuzzer.run(min(STEP, inputs - fuzzer.found.inputs), until)
        print(
            f"\r{name:<12}{found.inputs:>10,}  {len(found.crashes)} crashes",
            end="",
            file=sys.stderr,
            flush=True,
        )
    print(file=sys.stderr)
    return fuzzer.found, time.process_time() - begin


def row_of(found: Found, seconds: float) -> dict[str, Cell]:
    """Return a line of the table."""
    return {
        "format": found.name,
        "inputs": found.inputs,
        "crashes": len(found.crashes),
        "slow cases": len(found.slow),
        "events read": found.rows,
        "kinds of rejection": len(found.reasons),
        "CPU s": round(seconds),
    }


def keep(found: Found, folder: Path) -> None:
    """Write inputs that crashed or were slow to files, and say where."""
    for why, value in [*found.crashes[:20], *((f"{s:.2f} s", v) for s, v in found.slow[:20])]:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{found.name}-{hashlib.sha256(value).hexdigest()[:12]}"
        file.write_bytes(value)
        print(f"{file}: {why}")


def main() -> int:
    """Fuzz, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="per format")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="CPU seconds per format at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--format", action="append", choices=sorted(formats()), help="this one only; may be repeated"
    )
    asked = parser.parse_args()
    rows = []
    for name in asked.format or sorted(formats()):
        found, seconds = fuzzed(name, asked.inputs, asked.seconds, asked.seed)
        rows.append(row_of(found, seconds))
        keep(found, FOLDER / "crashes")
        publish(rows)
    print(markdown_table(rows))
    return 1 if any(row["crashes"] or row["slow cases"] for row in rows) else 0


def publish(rows: Sequence[Mapping[str, Cell]]) -> None:
    """Write lines of the table into the results, in place of those of the same formats."""
    file = FOLDER / "fuzz.json"
    known = json.loads(file.read_text())["rows"] if file.exists() else []
    lines = {row["format"]: row for row in (*known, *rows)}
    table = [lines[name] for name in sorted(formats()) if name in lines]
    least = min(int(row["inputs"] or 0) for row in table)
    bad = sum(int(row["crashes"] or 0) + int(row["slow cases"] or 0) for row in table)
    write_results("fuzz", {"least_inputs_per_format": least, "crashes_and_slow_cases": bad}, table)


if __name__ == "__main__":
    sys.exit(main())
