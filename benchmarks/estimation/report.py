"""Printing and publishing: the tables on the terminal, results/estimation.json, and the table in docs/estimation.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.estimation import nannyml_peer, scoring
from benchmarks.results import Cell, markdown_table, write_results

PAGE = Path(__file__).parents[2] / "docs" / "estimation.md"
METRICS = ("accuracy", "roc_auc", "f1", "mae")
PEERS = ("NannyML CBPE", "cbpe")
MODES = ("mpp (full)", "mpp (fit-time scorer)", "mpp (reference only)")


@dataclass(frozen=True)
class Part:
    """What a run publishes: the name of its figures, and of the marked place in the page."""

    figures: str
    marked: str


USUAL, CONFIRMATION = Part("estimation", "benchmark"), Part("estimation_confirmation", "confirmation")


def publish(table: pd.DataFrame, costs: pd.DataFrame, part: Part, *, write: bool) -> None:
    """Print everything; with `write`, also keep the figures and put the tables into the page."""
    parts, rows, figures = [], [], _costs(table, costs)
    for metric in METRICS:
        found = scoring.summary(table, metric) if (table["metric"] == metric).any() else []
        if found:
            unit = "|log(estimate / truth)|" if metric in scoring.LOG_METRICS else "|estimate - truth|"
            windows = table[table["metric"] == metric].groupby(["table", "primary"])["window"].nunique().sum()
            parts.append(f"**{metric}**, mean {unit} over {windows} windows\n\n{markdown_table(found)}")
            rows += [{"metric": metric, **row} for row in found]
            figures |= _figures(metric, found)
    verdict = _gate(table, figures)
    if verdict:
        parts.append(verdict)
    text = "\n\n".join(parts)
    print(text)
    if write:
        write_results(part.figures, figures, rows, versions={"nannyml": nannyml_peer.VERSION})
        _into_page(text, part.marked)


def _gate(table: pd.DataFrame, figures: dict[str, Cell]) -> str:
    against = next((p for p in PEERS if (table["method"] == p).any()), None)
    if against is None:
        return ""
    found = [{"mode": mode, **row} for mode in MODES for row in scoring.gate(table, mode, against)]
    if not found:
        return ""
    full = [row for row in found if row["mode"] == MODES[0]]
    passed = sum(row["verdict"] == "pass" for row in full)
    figures["gate_passed"], figures["gate_of"] = passed, len(full)
    words = (
        "passed" if passed == len(full) else f"not passed in {len(full) - passed} of {len(full)} comparisons"
    )
    return f"**Gate** against {against}, full mode: {words}\n\n{markdown_table(found)}"


def _figures(metric: str, rows: list[dict[str, str | float | None]]) -> dict[str, Cell]:
    out: dict[str, Cell] = {}
    for row in rows:
        name = "".join(c if c.isalnum() else "_" for c in str(row["method"]).lower()).strip("_")
        for column, value in row.items():
            if column != "method":
                out[f"{metric}.{name}.{column.replace(' ', '_')}"] = value
    return out


def _costs(table: pd.DataFrame, costs: pd.DataFrame) -> dict[str, Cell]:
    full = table[(table["method"] == MODES[0]) & table["metric"].isin(["accuracy", "mae"])]
    quiet = full[(full["family"] == "control") & (full["rows"] >= 1000)]["seconds"]
    out: dict[str, Cell] = {
        "quiet_window_ms": round(1000 * float(quiet.median()), 1) if len(quiet) else None,
        "window_seconds_p95": round(float(np.quantile(full["seconds"], 0.95)), 3) if len(full) else None,
    }
    if len(costs):
        fits = costs[costs["method"].isin(MODES)]["fit_seconds"].astype(float)
        out["fit_seconds_median"], out["fit_seconds_max"] = (
            round(float(fits.median()), 1),
            round(float(fits.max()), 1),
        )
    return out


def _into_page(text: str, marked: str) -> None:
    """Put the text between the page's marks of that name."""
    start, end = f"<!-- {marked}: start -->", f"<!-- {marked}: end -->"
    page = PAGE.read_text()
    if start not in page:
        raise SystemExit(f"{PAGE}: the mark {start} is missing")
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}")
