"""A baseline drawn for a terminal."""

from __future__ import annotations

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlhealth.baseline.record import Baseline
from mlhealth.clock import to_iso
from mlhealth.commands.terminal import number, sparkline
from mlhealth.estimators.metric_names import metric_of
from mlhealth.profile.bins import CategoryBins, NumericBins
from mlhealth.profile.window_profile import PREDICTED

NEXT_MODE = {
    "reference only": "with --scorer, mlhealth asks the model about made-up rows and estimates breaks better",
    "fit-time scorer": "with --train too, and --scorer given to `estimate` or the service, estimates are better still",
    "full": "give --scorer to `estimate` or the service as well: the model is asked when a window is suspicious",
}
"""What a person could add to a baseline of each mode."""


def picture(baseline: Baseline, size: int, budget: RenderableType) -> RenderableType:
    """Return a picture of the baseline; `size` is that of its folder in bytes, `budget` what its pages would cost."""
    parts: list[RenderableType] = [
        _head(baseline, size),
        _metrics(baseline),
        budget,
        _columns(baseline),
    ]
    notes = [Text(f"note: {note}", style="yellow") for note in baseline.notes]
    return Group(*parts, *notes)


def _head(baseline: Baseline, size: int) -> Table:
    schema = baseline.schema
    outputs = ", ".join(schema.classes) if schema.classes else "a number"
    table = Table.grid(padding=(0, 2))
    rows = (
        ("model", f"{schema.model} version {schema.version} ({schema.task}: {outputs})"),
        ("reference", f"{baseline.reference.rows:,} labelled rows, {baseline.rows.num_rows:,} kept"),
        ("mode", f"{baseline.mode}; {NEXT_MODE.get(baseline.mode, '')}"),
        ("methods", ", ".join(baseline.estimators)),
        ("hash", baseline.hash),
        ("made", f"{to_iso(baseline.created)[:19]}Z with mlhealth {baseline.versions.get('mlhealth', '?')}"),
        ("size", f"{size / 1e6:.1f} MB"),
    )
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def _metrics(baseline: Baseline) -> Table:
    table = Table(title="Reference metrics", title_justify="left", header_style="bold")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("90 % interval", justify="right")
    table.add_column("")
    for name, metric in baseline.metrics.items():
        known = metric_of(name, baseline.schema)
        low, high = metric.value - 1.645 * metric.standard_error, metric.value + 1.645 * metric.standard_error
        interval = f"{number(max(low, known.lower))} to {number(min(high, known.upper))}"
        table.add_row(name, number(metric.value), interval, "primary" if name == baseline.primary else "")
    return table


def _columns(baseline: Baseline) -> Table:
    table = Table(title="Columns", title_justify="left", header_style="bold")
    for name in ("column", "type", "distribution", "range or categories"):
        table.add_column(name)
    table.add_column("missing", justify="right")
    types = {feature.name: str(feature.type) for feature in baseline.schema.features}
    for name, bins in baseline.layout.columns:
        counts = baseline.reference.column(name)
        missing = counts[bins.missing] / max(int(counts.sum()), 1)
        shown, told = _numeric(bins, counts) if isinstance(bins, NumericBins) else _categorical(bins, counts)
        title = "prediction" if name == PREDICTED else name
        table.add_row(
            Text(title), types.get(name, "output"), shown, Text(told), f"{missing:.1%}" if missing else ""
        )
    return table


def _numeric(bins: NumericBins, counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[str, str]:
    """Return the density over 20 equal steps, each bin's rows spread evenly over its width, and the range."""
    edges = np.asarray(bins.edges)
    told = f"{edges[0]:.6g} to {edges[-1]:.6g}"
    if edges[-1] <= edges[0]:
        return sparkline([1.0]), told
    below = np.concatenate([[0.0], np.cumsum(counts[bins.regular])])
    steps = np.diff(np.interp(np.linspace(edges[0], edges[-1], 21), edges, below))
    return sparkline(steps.tolist()), told


def _categorical(
    bins: CategoryBins, counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> tuple[str, str]:
    shown = sparkline(counts[bins.regular][:20].tolist())
    more = len(bins.categories) + len(bins.rare) - 4
    return shown, ", ".join(bins.categories[:4]) + (f" and {more} more" if more > 0 else "")
