"""*What is broken*: the columns whose values a known kind of fault accounts for, the worst first.

Asked only of columns that the counts say have moved, so that a calm window costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mlhealth.detectors.column_faults import column_fault
from mlhealth.detectors.quality import severe
from mlhealth.estimators.rows import Rows
from mlhealth.records import ColumnFault, DetectorResult, FeatureQuality

MOST_COLUMNS = 12
"""Columns looked at in one window at most, most moved first."""
VAGUE = ("has left its range", "unrelated to what they should be", "were not there before")
"""Words by which an explanation says that a column broke, but not how."""

Seen = tuple[Mapping[str, DetectorResult], Mapping[str, FeatureQuality]]
"""The main drift and the quality of each column of a window."""


def broken_columns(
    reference: Rows, window: Rows, seen: Seen, explanation: str | None = None
) -> tuple[ColumnFault, ...]:
    """Return the faults found in a window's columns.

    `explanation`: the estimator's, in words; where it says precisely how a column is broken, that stands.
    """
    drift, quality = seen
    blamed = blamed_columns(explanation, window.schema.feature_names)
    precise = [name for name in blamed if not _is_vague(explanation or "", name)]
    moved = {name for name in window.schema.feature_names if _has_moved(name, drift, quality)} | set(blamed)
    effect = {name: (drift[name].effect or 0.0) if name in drift else 0.0 for name in moved}
    ordered = sorted(moved, key=lambda name: (-effect[name], name))[:MOST_COLUMNS]
    found = [
        column_fault(
            name,
            reference.features[name],
            window.features[name],
            numeric=name in window.schema.numeric,
            explained=name in precise,
        )
        for name in ordered
    ]
    faults = [fault for fault in found if fault is not None]
    return tuple(sorted(faults, key=lambda f: (not _is_severe(f, quality), -effect[f.column], f.column)))


def blamed_columns(explanation: str | None, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that an explanation in words calls broken.

    >>> blamed_columns("income arrives 100x too large; the mix of rows has shifted, most in age", ("age", "income"))
    ('income',)
    """
    if not explanation:
        return ()
    clauses = [
        c for c in explanation.split("; ") if not c.startswith(("the mix of", "the share of", "true values"))
    ]
    text = "; ".join(clauses)
    return tuple(name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text))


def _is_vague(explanation: str, name: str) -> bool:
    clauses = [clause for clause in explanation.split("; ") if clause.startswith(f"{name} ")]
    return any(words in clause for clause in clauses for words in VAGUE)


def _has_moved(name: str, drift: Mapping[str, DetectorResult], quality: Mapping[str, FeatureQuality]) -> bool:
    return (name in drift and drift[name].drifted) or (name in quality and bool(quality[name].faults))


def _is_severe(fault: ColumnFault, quality: Mapping[str, FeatureQuality]) -> bool:
    return fault.column in quality and severe(quality[fault.column])
