"""Printing the tables, writing the results, and the measured part of `docs/alarms.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.alarms import figures
from benchmarks.alarms.figures import Row
from benchmarks.alarms.judging import Judged
from benchmarks.results import ROOT, markdown_table, write_results

PAGE = ROOT / "docs" / "alarms.md"
MARK = "<!-- measured: written by python -m benchmarks.alarms -->"


def publish(
    judged: Sequence[Judged], false_pages: Sequence[Row], power: Sequence[Row], *, write_docs: bool
) -> Path:
    """Print every table, write `benchmarks/results/alarms.json` and, if asked, the page; return the JSON's path."""
    rates = [float(row[kind] or 0.0) for row in false_pages for kind in ("calm, iid", "calm, in order")]
    named: dict[str, float | None] = {
        "false_alarms_per_budget": float(np.mean(rates)),
        "power_15_points": _found(power, 0),
        "power_7_points": _found(power, 1),
        "power_5_points": _found(power, 2),
        **figures.health(judged),
        **figures.attribution(judged),
    }
    parts = [
        ("False pages per 90 days where one is allowed", false_pages),
        ("Lasting losses found in time", power),
        ("Share of single windows on which a rule speaks", figures.harmless(judged)),
        ("Figures", [{"figure": k, "value": _rounded(v)} for k, v in named.items()]),
    ]
    text = "\n\n".join(f"### {title}\n\n{markdown_table(_shown(rows))}" for title, rows in parts)
    print(text)
    if write_docs and PAGE.exists():
        before = PAGE.read_text().split(MARK)[0]
        scope = f"{len(judged)} windows of 500 rows of {len({j.table for j in judged})} tables."
        PAGE.write_text(f"{before}{MARK}\n\n{scope}\n\n{text}\n")
    return write_results("alarms", named, [*false_pages, *power])


def _found(power: Sequence[Row], place: int) -> float | None:
    value = power[place]["found"]
    return None if value is None else float(value)


def _shown(rows: Sequence[Row]) -> list[Row]:
    return [{k: _rounded(v) if isinstance(v, float) else v for k, v in row.items()} for row in rows]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
