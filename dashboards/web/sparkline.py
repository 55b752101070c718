"""The small line of health scores in a row of the overview: SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from mlhealth.queries.reports import ReportLine

WIDTH, HEIGHT, PAD = 132, 30, 4


def sparkline(lines: Sequence[ReportLine]) -> Markup:
    """Return the scores of windows, 0 at the bottom and 100 on top; an unknown score leaves a gap."""
    if not lines:
        return Markup('<span class="quiet">no windows yet</span>')
    points = [_point(n, len(lines), line.score) for n, line in enumerate(lines)]
    label = escape(f"Health score of the last {len(lines)} windows, now {_said(lines[-1])}")
    parts = [
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
    ]
    parts.append(f'aria-label="{label}"><path class="spark-line" d="{_path(points)}"/>')
    if points[-1] is not None:
        x, y = points[-1]
        parts.append(
            f'<circle class="spark-dot {escape(lines[-1].status)}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        )
    return Markup("".join(parts) + "</svg>")  # noqa: S704 - numbers and escaped texts


def _said(line: ReportLine) -> str:
    return "unknown" if line.score is None else f"{line.score:.0f}"


def _point(n: int, count: int, score: float | None) -> tuple[float, float] | None:
    if score is None:
        return None
    x = PAD + (WIDTH - 2 * PAD) * (n / max(count - 1, 1) if count > 1 else 0.5)
    return x, HEIGHT - PAD - (HEIGHT - 2 * PAD) * score / 100


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    drawn, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        drawn.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    return "".join(drawn)
