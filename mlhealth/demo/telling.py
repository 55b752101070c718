"""Tells a demo's story in the terminal: a line a chapter, then what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from rich.console import Console
from rich.table import Table

from mlhealth.demo.run import Window
from mlhealth.demo.story import Chapter, Verdict
from mlhealth.records import HealthStatus


@dataclass(frozen=True)
class ChapterOutcome:
    """A chapter as it went: truth and estimate averaged over its windows, and who was told what.

    `first_page`: after how many windows of the chapter the first page left, None without one. `fell`: whether the
    true metric was worse than the reference by more than the tolerance.
    """

    chapter: Chapter
    windows: tuple[Window, ...]
    truth: float
    estimate: float | None
    reference: float
    fell: bool
    pages: int
    first_page: int | None

    @property
    def alarmed(self) -> bool:
        """Whether anyone was paged."""
        return self.pages > 0

    @property
    def is_right(self) -> bool | None:
        """Whether paging was right: harm paged, and nothing else; None where only a milder page could tell."""
        return self.fell == self.alarmed


def outcomes(windows: Sequence[Window]) -> list[ChapterOutcome]:
    """Return the outcome of each chapter, in order.

    A rehearsal is held against the rows it was made of, as they were before it broke them.
    """
    found: list[ChapterOutcome] = []
    unbroken: float | None = None
    for chapter, group in groupby(windows, key=lambda w: w.chapter):
        played = tuple(group)
        if chapter.verdict is Verdict.REHEARSAL and unbroken is None:
            unbroken = float(np.mean([w.truth for w in found[-1].windows[-len(played) :]]))
        found.append(_outcome(chapter, played, unbroken if chapter.verdict is Verdict.REHEARSAL else None))
    return found


def _outcome(chapter: Chapter, windows: tuple[Window, ...], unbroken: float | None) -> ChapterOutcome:
    health = windows[0].report.health
    estimates = [w.report.estimates[health.metric] for w in windows]
    values = [e.value for e in estimates if e.value is not None]
    reference = next((e.reference for e in estimates if e.reference is not None), float("nan"))
    truth = float(np.mean([w.truth for w in windows]))
    is_error = health.metric in ("mae", "rmse", "mape")
    before = reference if unbroken is None else unbroken
    drop = (truth - before) / before if is_error else before - truth
    paged = [i for i, w in enumerate(windows) if w.report.health.status is HealthStatus.CRITICAL]
    return ChapterOutcome(
        chapter,
        windows,
        truth,
        float(np.mean(values)) if values else None,
        reference,
        drop > health.tolerance,
        sum(p.status == "firing" and p.rule == PAGING for w in windows for p in w.pages),
        paged[0] + 1 if paged else None,
    )


PAGING = "PredictedPerformanceDrop"
"""The demo's rule that pages; the other one makes tickets."""


def mean_absolute_difference(windows: Sequence[Window]) -> float:
    """Return the mean of |estimate - truth| over the windows that have an estimate."""
    pairs = [(w.report.estimates[w.report.health.metric].value, w.truth) for w in windows]
    return float(np.mean([abs(value - truth) for value, truth in pairs if value is not None]))


def summary(windows: Sequence[Window], console: Console) -> list[ChapterOutcome]:
    """Print the story's table and what it comes to; return the outcomes."""
    found = outcomes(windows)
    metric = windows[0].report.health.metric
    table = Table(
        title="What happened, and what mlhealth said of it without seeing a label", title_justify="left"
    )
    table.add_column("chapter", overflow="fold")
    for name in ("windows", f"true {metric}", "estimated", "paged", "right?"):
        table.add_column(name, justify="right", no_wrap=True)
    for outcome in found:
        table.add_row(*_cells(outcome))
    console.print(table)
    for line in _lines(windows, found, metric):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return found


def _cells(outcome: ChapterOutcome) -> tuple[str, ...]:
    estimate = "unknown" if outcome.estimate is None else f"{outcome.estimate:.3f}"
    paged = f"window {outcome.first_page}" if outcome.alarmed and outcome.first_page else "–"
    mark = "[green]yes[/]" if outcome.is_right else "[red]no[/]"
    title = outcome.chapter.title + (
        f" (version {outcome.chapter.version})" if outcome.chapter.version != "1" else ""
    )
    return title, str(len(outcome.windows)), f"{outcome.truth:.3f}", estimate, paged, mark


def _lines(windows: Sequence[Window], found: Sequence[ChapterOutcome], metric: str) -> list[str]:
    fell = [o for o in found if o.fell]
    quiet = [o for o in found if not o.fell]
    false = sum(o.alarmed for o in quiet)
    harmless = [o for o in found if o.chapter.verdict is Verdict.HARMLESS]
    lines = [
        f"mean absolute difference of estimated and true {metric}: {mean_absolute_difference(windows):.4f}"
    ]
    lines += [f"{o.chapter.title}: harmless, {'paged' if o.alarmed else 'no page'}" for o in harmless]
    lines.append(f"real harm: {sum(o.alarmed for o in fell)} of {len(fell)} chapters paged")
    lines.append(f"no harm: {false} of {len(quiet)} chapters paged")
    return lines + [_unseen(o, metric) for o in fell if not o.alarmed]


def _unseen(outcome: ChapterOutcome, metric: str) -> str:
    """Say what was not seen, and why that can be."""
    return (
        f"not seen: {outcome.chapter.title}: {metric} is {outcome.truth:.3g}, was {outcome.reference:.3g}. "
        "Where the same inputs lead to other outcomes than they did (concept drift), only labels can tell"
    )
