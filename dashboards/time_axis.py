"""Windows on a horizontal axis: event times, or row numbers of a file; gaps stay gaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from mlhealth.clock import to_datetime
from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.theme import Theme
from mlhealth.dashboards.wording import span
from mlhealth.records import WindowReport

Position = datetime | int


@dataclass(frozen=True)
class TimeAxis:
    """Where the windows of one or more charts lie; `rows` when windows are counted by rows of a file.

    Windows further apart than `gap` do not touch.
    """

    reports: tuple[WindowReport, ...]
    rows: bool = False
    gap: int = 1

    @classmethod
    def of(cls, reports: Sequence[WindowReport], *, rows: bool = False) -> TimeAxis:
        """Return the axis of reports in any order."""
        ordered = tuple(sorted(reports, key=lambda r: (r.key.start, r.revision)))
        return cls(ordered, rows, _gap(ordered))

    def at(self, micros: int) -> Position:
        """Return the axis position of a moment (or row number)."""
        return micros if self.rows else to_datetime(micros).replace(tzinfo=None)

    def middle(self, report: WindowReport) -> Position:
        """Return the middle of a report's window."""
        return self.at((report.key.start + report.key.end) // 2)

    def name(self, report: WindowReport) -> str:
        """Return a window's name for people."""
        key = report.key
        return f"rows {key.start:,} – {key.end:,}" if self.rows else span(key.start, key.end)

    def link(self, report: WindowReport) -> str:
        """Return the window's start as text, for pages that open the window of a clicked point."""
        return str(report.key.start)

    def series(
        self, value: Callable[[WindowReport], float | None]
    ) -> tuple[list[Position], list[float | None]]:
        """Return positions and values, with an empty value between windows that do not touch."""
        x: list[Position] = []
        y: list[float | None] = []
        previous: int | None = None
        for report in self.reports:
            if previous is not None and report.key.start > previous + self.gap:
                x.append(self.at((previous + report.key.start) // 2))
                y.append(None)
            x.append(self.middle(report))
            y.append(value(report))
            previous = report.key.end
        return x, y

    def columns(self) -> tuple[list[Position], list[WindowReport | None]]:
        """Return n + 1 edges and n windows between them; None stands for a stretch without a window."""
        edges: list[Position] = []
        columns: list[WindowReport | None] = []
        previous: int | None = None
        for report in self.reports:
            if previous is not None and report.key.start > previous + self.gap:
                edges.append(self.at(previous))
                columns.append(None)
            edges.append(self.at(report.key.start))
            columns.append(report)
            previous = report.key.end
        return ([*edges, self.at(previous)], columns) if previous is not None else ([], [])

    def runs(self, value: Callable[[WindowReport], float | None]) -> list[list[WindowReport]]:
        """Return the stretches of touching windows in which `value` is known."""
        found: list[list[WindowReport]] = []
        previous: int | None = None
        for report in self.reports:
            if value(report) is not None:
                if not found or previous is None or report.key.start > previous + self.gap:
                    found.append([])
                found[-1].append(report)
                previous = report.key.end
            else:
                previous = None
        return found

    def spans(self, chosen: Callable[[WindowReport], bool]) -> list[tuple[int, int]]:
        """Return (start, end) of the stretches of touching windows that are `chosen`."""
        found: list[tuple[int, int]] = []
        for report in self.reports:
            if not chosen(report):
                continue
            if found and report.key.start <= found[-1][1] + self.gap:
                found[-1] = (found[-1][0], report.key.end)
            else:
                found.append((report.key.start, report.key.end))
        return found


def _gap(reports: Sequence[WindowReport]) -> int:
    """Return how far apart two windows may be and still count as touching.

    Where a long period shows a choice of its windows, the distance between the chosen ones is no gap.
    """
    if len(reports) < 3:
        return 1
    distance = median(b.key.start - a.key.start for a, b in pairwise(reports))
    width = median(r.key.end - r.key.start for r in reports)
    return 1 if distance <= 1.5 * width + 1 else round(3 * distance)


def hatch(
    figure: Drawing,
    axis: TimeAxis,
    spans: Sequence[tuple[int, int]],
    limits: tuple[float, float],
    theme: Theme,
) -> None:
    """Hatch the stretches of time about which nothing is known, between the y `limits`."""
    x: list[Position | None] = []
    y: list[float | None] = []
    for start, end in spans:
        a, b = axis.at(start), axis.at(end)
        x += [a, b, b, a, a, None]
        y += [limits[0], limits[0], limits[1], limits[1], limits[0], None]
    if x:
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            line={"width": 0, "color": theme.unknown},
            fill="toself",
            fillcolor=theme.unknown_fill,
            fillpattern={
                "shape": "/",
                "fgcolor": theme.unknown,
                "bgcolor": theme.unknown_fill,
                "size": 6,
                "solidity": 0.15,
            },
            hoverinfo="skip",
            name="unknown",
        )
