"""What is wrong with a feature's values, as fractions of its rows and as faults with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np

from mlhealth.detectors.cells import Cells
from mlhealth.detectors.missing_rate import rate
from mlhealth.records import DetectorResult, FeatureQuality

WHOLE = 0.999
"""A share that counts as all rows."""
MOST = 0.5
"""A share of rows at which a fault is severe whatever its kind."""


class Fault(StrEnum):
    """The faults a feature can have in a window."""

    ALL_MISSING = "all missing"
    MISSING = "missing rate changed"
    NON_FINITE = "non-finite values"
    UNSEEN = "unseen categories"
    OUT_OF_RANGE = "out of range"
    STUCK = "stuck at one value"


_DETECTED = {
    "missing_rate": Fault.MISSING,
    "unseen_categories": Fault.UNSEEN,
    "out_of_range": Fault.OUT_OF_RANGE,
}


def severe(quality: FeatureQuality) -> bool:
    """Whether a feature is broken in so many rows that someone should look, whatever the estimate says."""
    amount = {
        Fault.MISSING: quality.missing,
        Fault.NON_FINITE: quality.non_finite,
        Fault.UNSEEN: quality.unseen,
        Fault.OUT_OF_RANGE: quality.out_of_range,
    }
    return any(f == Fault.ALL_MISSING or amount.get(Fault(f), 0.0) >= MOST for f in quality.faults)


def describe(feature: str, quality: FeatureQuality) -> str:
    """Return one sentence that tells the worst of a feature's faults.

    >>> describe("age", FeatureQuality(1.0, 0.0, 0.0, 0.0, ("all missing",)))
    'age is missing in every row'
    """
    sentences = {
        Fault.ALL_MISSING: f"{feature} is missing in every row",
        Fault.NON_FINITE: f"{feature} is infinite in {quality.non_finite:.1%} of rows",
        Fault.OUT_OF_RANGE: f"{feature} lies outside its reference range in {quality.out_of_range:.1%} of rows",
        Fault.UNSEEN: f"{feature} has categories the reference never had in {quality.unseen:.1%} of rows",
        Fault.STUCK: f"{feature} is stuck at one value",
        Fault.MISSING: f"{feature} is missing in {quality.missing:.1%} of rows, unlike the reference",
    }
    return next((text for fault, text in sentences.items() if fault in quality.faults), f"{feature} is sound")


def judge(
    reference: Cells, window: Cells, results: Sequence[DetectorResult], features: Sequence[str]
) -> Mapping[str, FeatureQuality]:
    """Return the quality of each feature, from its counts and from what the detectors said of them."""
    drifted = {(r.detector, r.feature) for r in results if r.drifted}
    layout = window.layout
    missing, non_finite = rate(window.missing, window), rate(window.non_finite, window)
    unseen = layout.sums(window.counts * layout.unseen) / np.maximum(window.rows, 1.0)
    outside = layout.sums(window.counts * layout.outside) / np.maximum(window.rows, 1.0)
    fullest = layout.maxima(window.shares)
    found = {}
    for j, name in enumerate(layout.names):
        if name not in features or window.rows[j] == 0.0:
            continue
        faults = [fault for detector, fault in _DETECTED.items() if (detector, name) in drifted]
        if missing[j] >= WHOLE and reference.comparable[j]:
            faults = [Fault.ALL_MISSING, *faults]
        if window.non_finite[j] > 0.0 and reference.non_finite[j] == 0.0:
            faults.append(Fault.NON_FINITE)
        if fullest[j] >= WHOLE and ("stuck_value", name) in drifted and Fault.OUT_OF_RANGE not in faults:
            faults.append(Fault.STUCK)
        shares = (float(missing[j]), float(unseen[j]), float(outside[j]), float(non_finite[j]))
        found[name] = FeatureQuality(*shares, tuple(str(f) for f in faults))
    return found
