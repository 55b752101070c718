"""Printing the tables, writing the results, and the measured part of `docs/alarms.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.alarms import figures
from benchmarks.alarms.figures import Row
from benchmarks.alarms.judging_records import Judged
from benchmarks.alarms.streams import ROWS
from benchmarks.results import ROOT, markdown_table, write_results

PAGE = ROOT / "docs" / "alarms.md"
MARK = "<!-- measured: written by python -m benchmarks.alarms -->"


def publish(
    judged: Sequence[Judged], limits: Mapping[str, figures.Limits], seed: int, *, write_docs: bool
) -> Path:
    """Print every table, write `benchmarks/results/alarms.json` and, if asked, the page; return the JSON's path."""
    pages = figures.false_pages(judged, limits, seed)
    named = _figures(judged, pages, limits)
    spread = figures.intervals(judged, lambda some: _by_windows(some, limits), seed)
    power = figures.power(judged, limits)
    parts = [
        ("False pages per 90 days where one is allowed", pages),
        ("Share of lasting losses found, by how the limit was found and within how long", power),
        ("Share of single windows on which a rule speaks", figures.harmless(judged)),
        (
            "Which column is broken, and how, by kind of fault",
            figures.attribution_by(judged, "kind", "fault"),
        ),
        ("The same by table", figures.attribution_by(judged, "table", "table")),
        ("Figures", [_line(name, value, spread) for name, value in named.items()]),
    ]
    text = "\n\n".join(f"### {title}\n\n{markdown_table(_shown(rows))}" for title, rows in parts)
    print(text, flush=True)
    if write_docs and PAGE.exists():
        before = PAGE.read_text().split(MARK)[0]
        scope = f"{len(judged):,} windows of {ROWS:,} rows of {len({j.table for j in judged})} tables."
        PAGE.write_text(f"{before}{MARK}\n\n{scope}\n\n{text}\n")
    low_high: dict[str, float] = {}
    for name, (low, high) in spread.items():
        low_high |= {f"{name}_low": low, f"{name}_high": high}
    return write_results("alarms", {**named, **low_high}, [*pages, *power])


def _figures(
    judged: Sequence[Judged], pages: Sequence[Row], limits: Mapping[str, figures.Limits]
) -> dict[str, float | None]:
    def mean(null: str) -> float:
        known = [row[f"{null}, {kind}"] for row in pages for kind in figures.CALM]
        return float(np.mean([float(one) for one in known if one is not None]))

    return {
        "false_alarms_per_budget": mean("bootstrap"),
        "false_alarms_per_budget_of_the_bound": mean("bound"),
        **_by_windows(judged, limits),
    }


def _by_windows(judged: Sequence[Judged], limits: Mapping[str, figures.Limits]) -> dict[str, float | None]:
    return {**figures.goals(judged, limits), **figures.health(judged), **figures.attribution(judged)}


def _line(name: str, value: float | None, spread: Mapping[str, tuple[float, float]]) -> Row:
    low, high = spread.get(name, (None, None))
    told = (
        ""
        if low is None or high is None or "windows" in name or name.endswith("treatments")
        else f"{low:.3f} to {high:.3f}"
    )
    return {"figure": name, "value": _rounded(value), "90 % interval over tables": told}


def _shown(rows: Sequence[Row]) -> list[Row]:
    return [{k: _rounded(v) if isinstance(v, float) else v for k, v in row.items()} for row in rows]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
