"""Figures in documents are those of benchmarks/results: tables row for row, and sentences number for number."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from benchmarks.results import FOLDER, markdown_table
from tests.docs.snippets import ROOT

TABLES = {
    "backfill": "how-to/backfill.md",
    "extras": "how-to/install.md",
    "stream": "operations/stream.md",
    "estimation": "estimation.md",
    "estimation_confirmation": "estimation.md",
}
"""Benchmarks whose whole table is written into a page."""
DROPPED = {"estimation": "metric", "estimation_confirmation": "metric"}
"""Columns that the page tells by its headings."""


def results(name: str) -> dict[str, Any]:
    """Return what a benchmark wrote."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def page(name: str) -> str:
    """Return a page with its spaces made single."""
    return re.sub(r"[ \n]+", " ", (ROOT / "docs" / name).read_text(encoding="utf-8"))


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield each row as a line of a table."""
    for row in rows:
        yield re.sub(r" +", " ", markdown_table([row]).splitlines()[-1])


@pytest.mark.parametrize("name", TABLES)
def test_a_generated_table_is_what_was_measured(name: str) -> None:
    """Every row of the results stands in the page, none was written by hand or is left from an earlier run."""
    shown = page(TABLES[name])
    rows = [{k: v for k, v in row.items() if k != DROPPED.get(name)} for row in results(name)["rows"]]
    assert rows
    assert not [line for line in lines(rows) if line not in shown]


def rounded(value: float) -> str:
    """Return a figure as people compare it: to a tenth, larger ones to one, small ones to a thousandth."""
    if value >= 11:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def test_bytes_of_a_window_are_what_was_measured() -> None:
    """The capacity table of the store's page has every figure of the benchmark up to 50 features."""
    shown = page("operations/store.md")
    figures = results("capacity")["figures"]
    told = {name: value for name, value in figures.items() if not name.startswith("200_features")}
    assert len(told) == 12
    assert not [name for name, value in told.items() if f" {value:,} " not in shown]


def test_the_peers_windows_are_what_was_measured() -> None:
    """The multiples and milliseconds of a window's own work are those of the benchmark."""
    shown, figures = page("operations/stream.md"), results("windows")["figures"]
    times = {name: value for name, value in figures.items() if name.startswith("times_")}
    assert len(times) == 4
    assert not [name for name, value in times.items() if f"| {rounded(value)} |" not in shown]
    assert f"({figures['window_ms']:.0f} ms: profile {figures['profile_ms']:.1f}," in shown


def test_what_an_install_costs_is_what_was_measured() -> None:
    """Megabytes, packages and seconds of the comparison are those of the benchmark, with its date."""
    shown, found = page("concepts/comparison.md"), results("startup")
    figures = found["figures"]
    assert f"Measured on {found['measured'][:10]}" in shown
    for name in ("core", "service", "nannyml", "whylogs"):
        size, packages, seconds = (figures[f"{name}_{what}"] for what in ("mb", "packages", "import_seconds"))
        time = f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.3f}"
        assert f"| {size:,.0f} | {packages} | {time} s |" in shown, name


@pytest.mark.parametrize("task", ["", "regression"])
def test_the_figures_of_alarms_are_what_was_measured(task: str) -> None:
    """Each figure of the alarms' page, of classification and of regression, is that of the benchmark."""
    title, after = (f"### Figures ({task})", f"_{task}") if task else ("### Figures\n", "")
    table = (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8").split(title)[1].split("###")[0]
    shown = [
        [cell.strip() for cell in line.split("|")[1:3]] for line in table.splitlines() if line.startswith("|")
    ][2:]
    figures = results("alarms")["figures"]
    assert len(shown) == 28
    assert {name: float(value) for name, value in shown} == {
        name: round(figures[f"{name}{after}"], 3) for name, _ in shown
    }
