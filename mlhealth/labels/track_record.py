"""How estimates without labels compared with the labels that came: error, bias, and whether the intervals held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import hypot, sqrt

import numpy as np
from scipy.stats import binom

FEWEST = 8
"""Windows below which nothing is concluded from a track record."""
RECENT = 5
"""Windows that count as recent."""
UNLIKELY = 0.01
"""How unlikely a record must be for good estimates before it counts against them."""
OVERLAPPING = 0.5
"""Bias counts from this share of the mean half-width of the intervals."""


@dataclass(frozen=True)
class Comparison:
    """One metric of one window: what was estimated (None: nothing), and what `labelled` labels then said."""

    start: int
    end: int
    metric: str
    labelled: int
    level: float
    value: float | None
    lower: float | None
    upper: float | None
    realized: float
    realized_lower: float
    realized_upper: float

    @property
    def covered(self) -> bool | None:
        """Return whether the interval held the truth, the truth's own sampling error allowed for; None without one."""
        if self.value is None or self.lower is None or self.upper is None:
            return None
        below = hypot(self.value - self.lower, self.realized_upper - self.realized)
        above = hypot(self.upper - self.value, self.realized - self.realized_lower)
        return self.value - below <= self.realized <= self.value + above


@dataclass(frozen=True)
class TrackRecord:
    """The record of one metric over `windows` windows that have both an estimate and labels.

    `error`: mean absolute error. `bias`: mean of estimate less truth. `half_width`: mean half-width of the intervals.
    `coverage`: share of intervals that held the truth, which should be about `level`. `recent` and `recent_bias`: mean
    truth and bias of the newest windows, at most `RECENT` of them. `advice`: what to do, in words;
    empty where nothing is amiss, or too few windows were compared to say.
    """

    metric: str
    windows: int
    error: float
    bias: float
    half_width: float
    coverage: float
    level: float
    recent: float
    recent_bias: float
    advice: tuple[str, ...] = ()


def track_records(found: Iterable[Comparison]) -> tuple[TrackRecord, ...]:
    """Return the record of each metric, by name, from comparisons in order of time."""
    by_metric: dict[str, list[Comparison]] = {}
    for comparison in found:
        if comparison.value is not None and comparison.covered is not None:
            by_metric.setdefault(comparison.metric, []).append(comparison)
    return tuple(_record(metric, known) for metric, known in sorted(by_metric.items()))


def numbers_of(records: Iterable[TrackRecord]) -> dict[str, dict[str, float]]:
    """Return what alert rules may ask of records, by metric."""
    names = ("windows", "error", "bias", "coverage", "recent", "recent_bias")
    return {record.metric: {name: float(getattr(record, name)) for name in names} for record in records}


def _record(metric: str, known: Sequence[Comparison]) -> TrackRecord:
    errors = np.array([(c.value or 0.0) - c.realized for c in known])
    held = sum(bool(c.covered) for c in known)
    half = float(np.mean([((c.upper or 0.0) - (c.lower or 0.0)) / 2.0 for c in known]))
    level = known[0].level
    record = TrackRecord(
        metric,
        len(known),
        float(np.abs(errors).mean()),
        float(errors.mean()),
        half,
        held / len(known),
        level,
        float(np.mean([c.realized for c in known[-RECENT:]])),
        float(errors[-RECENT:].mean()),
    )
    return replace(record, advice=tuple(_advice(record, errors, held)))


def _advice(
    record: TrackRecord, errors: np.ndarray[tuple[int], np.dtype[np.float64]], held: int
) -> list[str]:
    """Return what a record calls for: nothing is ever changed by itself."""
    if record.windows < FEWEST:
        return []
    said: list[str] = []
    if binom.cdf(held, record.windows, record.level) < UNLIKELY:
        said.append(
            f"intervals of {record.level:.0%} held the truth in {record.coverage:.0%} of {record.windows} windows: "
            "they are too narrow"
        )
    spread = float(errors.std(ddof=1)) / sqrt(record.windows)
    if abs(record.bias) > max(3.0 * spread, OVERLAPPING * record.half_width):
        side = "too high" if record.bias > 0 else "too low"
        said.append(f"{record.metric} was estimated {abs(record.bias):.3g} {side} on average")
    if said:
        said.append(
            "recalibrate: fit a baseline on recent labelled rows and lay it beside this one "
            "(mlhealth baseline propose), for a person to approve; where the truth itself fell, "
            "train the model again first"
        )
    return said
