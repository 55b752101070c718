"""Multivariate drift of a window, from its sample: every `SampleDetector` found by reflection."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from mlhealth.detectors.registry import sample_detectors
from mlhealth.detectors.sample_base import FEWEST_ROWS, SampleDetector, encode
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import DetectorResult


def multivariate(
    window: WindowProfile, reference: WindowProfile, *, seed: int = 0, names: Collection[str] = ()
) -> tuple[DetectorResult, ...]:
    """Return the answer of every multivariate detector, or of those in `names`, about the window as a whole.

    The same samples and seed give the same answers. A window with too few sampled rows is not judged, and says so.
    """
    chosen = [d for d in sample_detectors() if not names or d.name in names]
    rows = 0 if window.sample is None else window.sample.num_rows
    known = 0 if reference.sample is None else reference.sample.num_rows
    if window.sample is None or reference.sample is None or min(rows, known) < FEWEST_ROWS:
        note = f"{min(rows, known)} sampled rows are too few to judge; {FEWEST_ROWS} are needed"
        return tuple(_unjudged(detector, rows, note) for detector in chosen)
    a, b = encode(reference.sample, reference), encode(window.sample, reference)
    results = []
    for detector in chosen:
        verdict = detector.compare(a, b, np.random.default_rng(seed))
        results.append(
            DetectorResult(
                detector.name,
                None,
                verdict.statistic,
                verdict.threshold,
                drifted=verdict.statistic > verdict.threshold,
                p_value=verdict.p_value,
                effect=None,
                rows=len(b),
                reference_rows=len(a),
            )
        )
    return tuple(results)


def _unjudged(detector: SampleDetector, rows: int, note: str) -> DetectorResult:
    return DetectorResult(detector.name, None, None, None, drifted=False, rows=rows, note=note)
