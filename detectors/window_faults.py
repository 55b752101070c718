"""Faults of a window as a whole and of a series of windows: their names, and how they are told."""

from __future__ import annotations

from mlhealth.profile.window_profile import PREDICTED
from mlhealth.records import DetectorResult

HINKLEY, ADWIN, VOLUME = "page_hinkley", "adwin", "volume"
DUPLICATES, REPEATS = "duplicate_keys", "repeated_rows"
SERIES = frozenset({HINKLEY, ADWIN, VOLUME})
"""Detectors that remember the windows before."""
DELIVERY = frozenset({VOLUME, DUPLICATES, REPEATS})
"""Detectors of faults in how rows are delivered, whatever is in them."""

_SENTENCES = {
    "domain_classifier": "a classifier tells rows of this window from reference rows",
    "maximum_mean_discrepancy": "rows lie elsewhere than the reference's",
    "pca_reconstruction": "columns no longer go together as they did",
    "correlation_change": "correlations between columns have changed",
}


def told(result: DetectorResult) -> str:
    """Return one sentence on a finding about a window as a whole, or about a series.

    >>> told(DetectorResult("volume", None, 4.0, 1.6, True, note="12 rows came, usually about 340"))
    '12 rows came, usually about 340'
    """
    if result.detector in DELIVERY:
        return result.note or f"{result.detector}: {result.statistic}"
    column = {None: "", PREDICTED: "the predictions", "__score": "the scores"}.get(
        result.feature, result.feature or ""
    )
    if result.detector == HINKLEY:
        verb = "have" if column.startswith("the ") else "has"
        return f"{column} {verb} moved away from the reference over several windows (Page-Hinkley test)"
    if result.detector == ADWIN:
        return f"a jump in the series of windows: {column + ' ' if column else ''}{result.note or ''} (ADWIN)"
    sentence = _SENTENCES.get(result.detector, f"{result.detector} has drifted")
    if result.statistic is None or result.threshold is None:
        return sentence
    name = result.detector.replace("_", "-")
    return f"{sentence} ({name} {result.statistic:.2f}, expected at most {result.threshold:.2f})"
