"""What commands share at the terminal: results go to stdout, everything said beside them to stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mlhealth.records import EstimateStatus, HealthStatus

STYLES = {
    HealthStatus.HEALTHY: "green",
    HealthStatus.DEGRADED: "yellow",
    HealthStatus.CRITICAL: "bold red",
    HealthStatus.UNKNOWN: "dim",
    EstimateStatus.OK: "green",
    EstimateStatus.WIDENED: "yellow",
    EstimateStatus.OUT_OF_SUPPORT: "red",
    EstimateStatus.NOT_IDENTIFIABLE: "dim",
}
"""Colour of each status."""

_BARS = " ▁▂▃▄▅▆▇█"


def stderr() -> Console:
    """Return the console for what is not a result."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def warn(sentences: Sequence[str]) -> None:
    """Print each sentence as a warning on stderr."""
    console = stderr()
    for sentence in sentences:
        console.print("[yellow]warning:[/yellow] ", end="")
        console.print(sentence, markup=False)


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressTold]:
    """Show a progress bar on stderr while the block runs, on a terminal only."""
    console = stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield ProgressTold(bar, bar.add_task(title, total=1.0))


class ProgressTold:
    """A callback that moves a bar."""

    def __init__(self, bar: Progress, task: object) -> None:
        self._bar = bar
        self._task = task

    def __call__(self, step: str, done: float) -> None:
        self._bar.update(self._task, description=step, completed=done)  # type: ignore[arg-type]


def sparkline(counts: Sequence[float], width: int = 20) -> str:
    """Return counts as a line of bars, `width` of them at most.

    >>> sparkline([0, 1, 2, 4])
    ' ▂▄█'
    """
    step = max(1, -(-len(counts) // width))
    grouped = [sum(counts[i : i + step]) for i in range(0, len(counts), step)]
    top = max(grouped, default=0) or 1
    return "".join(_BARS[round(value / top * 8)] for value in grouped)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as people read it, or a dash.

    >>> number(0.81234), number(None), number(1234.5)
    ('0.812', '–', '1,234.5')
    """
    if value is None:
        return "–"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.{digits}f}"
