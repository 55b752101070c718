"""*What is broken*: columns that the winning explanation blames, or whose values a known kind of fault accounts for.

Values are asked only of columns that the counts say have moved, so that a calm window costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mlhealth.detectors.column_faults import column_fault
from mlhealth.detectors.quality import severe
from mlhealth.estimators.rows import Rows
from mlhealth.records import ColumnFault, DetectorResult, FeatureQuality

MOST_COLUMNS = 12
"""Columns looked at in one window at most, most moved first."""
LEFT = "changed values"
"""The kind of a column of which an explanation says only that it has left its range."""
VAGUE = frozenset({LEFT, "outliers", "unseen category"})
"""Kinds by which an explanation says that a column broke, but not how."""

Seen = tuple[Mapping[str, DetectorResult], Mapping[str, FeatureQuality]]
"""The main drift and the quality of each column of a window."""


def broken_columns(
    reference: Rows, window: Rows, seen: Seen, explained: Sequence[ColumnFault] = ()
) -> tuple[ColumnFault, ...]:
    """Return the faults of a window's columns, the first one to look at first.

    `explained`: what the estimator's winning explanation calls broken, the surest first. Where it says precisely how,
    that stands, unless a column's values show a fault that cannot be mistaken.
    """
    blamed = {fault.column: fault for fault in explained}
    moved = {name for name in window.schema.feature_names if _has_moved(name, *seen)}
    effect = {name: _effect(name, seen[0]) for name in moved}
    others = sorted(moved - set(blamed), key=lambda name: (-effect[name], name))
    found = []
    for name in [*blamed, *others][:MOST_COLUMNS]:
        precise = name in blamed and blamed[name].kind not in VAGUE
        fault = column_fault(
            name,
            reference.features[name],
            window.features[name],
            numeric=name in window.schema.numeric,
            explained=precise,
        )
        found.append(fault or _told(blamed.get(name), reference, window))
    # In this order already: the surest explained, then the most moved.
    faults = [fault for fault in found if fault is not None]
    return tuple(sorted(faults, key=lambda fault: not _is_severe(fault, seen[1])))


def _told(fault: ColumnFault | None, reference: Rows, window: Rows) -> ColumnFault | None:
    """Return a fault that says only that values changed with what they were and are."""
    if fault is None or fault.kind != LEFT or fault.column not in window.schema.numeric:
        return fault
    now, before = (_middle(rows.features[fault.column].to_numpy(np.float64)) for rows in (window, reference))
    return replace(fault, text=f"{fault.text} (mostly {now}, before {before})") if now and before else fault


def _middle(values: NDArray[np.float64]) -> str:
    """Return the range of nine tenths of the values, "" where there are none."""
    finite = values[np.isfinite(values)]
    return "{:.3g} to {:.3g}".format(*np.quantile(finite, (0.05, 0.95))) if len(finite) else ""


def _effect(name: str, drift: Mapping[str, DetectorResult]) -> float:
    return (drift[name].effect or 0.0) if name in drift else 0.0


def _has_moved(name: str, drift: Mapping[str, DetectorResult], quality: Mapping[str, FeatureQuality]) -> bool:
    return (name in drift and drift[name].drifted) or (name in quality and bool(quality[name].faults))


def _is_severe(fault: ColumnFault, quality: Mapping[str, FeatureQuality]) -> bool:
    return fault.column in quality and severe(quality[fault.column])
