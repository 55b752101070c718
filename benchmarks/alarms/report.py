"""Printing the tables, writing the results, and the measured part of `docs/alarms.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    parts = [
        _Part(
            name,
            judged=[j for j in judged if j.table in tables],
            pages=[r for r in pages if r["table"] in tables],
        )
        for name, tables in _by_task(limits).items()
        if tables
    ]
    text = "\n\n".join(
        f"### {title}\n\n{markdown_table(_shown(rows))}"
        for title, rows in [
            ("False pages per 90 days where one is allowed", pages),
            *(table for part in parts for table in part.tables(limits, seed)),
            (
                "Which column is broken, and how, by kind of fault",
                figures.attribution_by(judged, "kind", "fault"),
            ),
            ("The same by table", figures.attribution_by(judged, "table", "table")),
        ]
    )
    print(text, flush=True)
    if write_docs and PAGE.exists():
        before = PAGE.read_text().split(MARK)[0]
        scope = f"{len(judged):,} windows of {ROWS:,} rows of {len({j.table for j in judged})} tables."
        PAGE.write_text(f"{before}{MARK}\n\n{scope}\n\n{text}\n")
    named: dict[str, float | None] = {}
    for part in parts:
        named |= part.named(limits, seed)
    power = [row for part in parts for row in figures.power(part.judged, limits)]
    return write_results("alarms", named, [*pages, *power])


def _by_task(limits: Mapping[str, figures.Limits]) -> dict[str, set[str]]:
    """Return the tables of each task: of regression, losses are of another metric, and are not mixed in."""
    relative = {t for t, known in limits.items() if next(iter(known.values())).objective.relative}
    return {"": set(limits) - relative, "regression": relative}


@dataclass(frozen=True)
class _Part:
    """The judged windows of the tables of one task ("" for classification), and the false pages of those tables."""

    name: str
    judged: Sequence[Judged]
    pages: Sequence[Row]

    def tables(self, limits: Mapping[str, figures.Limits], seed: int) -> list[tuple[str, Sequence[Row]]]:
        where = f" ({self.name})" if self.name else ""
        named, spread = self._named(limits, seed)
        return [
            (
                f"Share of lasting losses found, by how the limit was found and within how long{where}",
                figures.power(self.judged, limits),
            ),
            (f"Share of single windows on which a rule speaks{where}", figures.harmless(self.judged)),
            (f"Figures{where}", [_line(name, value, spread) for name, value in named.items()]),
        ]

    def named(self, limits: Mapping[str, figures.Limits], seed: int) -> dict[str, float | None]:
        """Return all figures, and the ends of their intervals, by name."""
        named, spread = self._named(limits, seed)
        found = dict(named)
        for name, (low, high) in spread.items():
            found |= {f"{name}_low": low, f"{name}_high": high}
        after = f"_{self.name}" if self.name else ""
        return {f"{name}{after}": value for name, value in found.items()}

    def _named(
        self, limits: Mapping[str, figures.Limits], seed: int
    ) -> tuple[dict[str, float | None], dict[str, tuple[float, float]]]:
        spread = figures.intervals(self.judged, lambda some: _by_windows(some, limits), seed)
        return _figures(self.judged, self.pages, limits), spread


def _figures(
    judged: Sequence[Judged], pages: Sequence[Row], limits: Mapping[str, figures.Limits]
) -> dict[str, float | None]:
    def mean(null: str) -> float | None:
        known = [row[f"{null}, {kind}"] for row in pages for kind in figures.CALM]
        told = [float(one) for one in known if one is not None]
        return float(np.mean(told)) if told else None

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
