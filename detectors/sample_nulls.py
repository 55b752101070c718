"""Multivariate drift in window reports: statistics against one fixed part of the reference, nulls from the rest of it.

Windows of several sizes are drawn from reference rows that are not compared with; where the reference's rows are known
in time order, its own consecutive windows widen the null wherever they wander more than drawn ones do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mlhealth.baseline.record import Baseline, Null
from mlhealth.detectors.cells import Floats
from mlhealth.detectors.nulls import LEVELS, tail_quantiles
from mlhealth.detectors.registry import sample_detectors
from mlhealth.detectors.sample_base import FEWEST_ROWS, MOST_ROWS, SampleDetector, encode
from mlhealth.detectors.thresholds import MEDIAN, NullTable, critical_values, p_values
from mlhealth.events.batch import EventBatch
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import DetectorResult

SIZES = (50, 100, 200, 800, 2_000)
"""Window sizes that are drawn, as far as the reference has rows for them; larger windows are sampled."""
COMPARED = 1_000
"""Reference rows that windows are compared with at most."""
RATE = 0.001
"""Share of windows without drift that one detector calls drifted."""
REPLAYED = 6
"""Consecutive windows of the reference that are looked at, of the middle size."""
SEED = 1_902
"""Randomness within a statistic is the same for every window, so that equal windows have equal answers."""


def fit_sample_nulls(
    reference: WindowProfile, rng: np.random.Generator, *, batch: EventBatch | None = None
) -> dict[tuple[str, str], Null]:
    """Return the null of every multivariate detector, by (detector, ""); none where the reference is too short."""
    rows = _encoded(reference)
    compared, rest = _parts(rows)
    sizes = [n for n in SIZES if n <= len(rest) // 2]
    if len(sizes) < 2 or rows.shape[1] == 0:
        return {}
    own = _consecutive(reference, batch, sizes[len(sizes) // 2])
    found = {}
    for detector in sample_detectors():
        quantiles = np.stack([_quantiles(detector, compared, rest, n, rng) for n in sizes])
        median = quantiles[len(sizes) // 2, MEDIAN]
        wanders = _wandering(detector, compared, own, float(median))
        found[detector.name, ""] = Null(np.array(sizes, dtype=np.int64), LEVELS, quantiles * wanders)
    return found


class MultivariatePanel:
    """The multivariate detectors made ready for one baseline; without their nulls nothing is judged."""

    def __init__(self, baseline: Baseline) -> None:
        self._reference = baseline.reference
        self._nulls: Mapping[str, Null] = {
            d.name: baseline.nulls[d.name, ""] for d in sample_detectors() if (d.name, "") in baseline.nulls
        }
        self._compared: Floats = np.zeros((0, 0))
        if self._nulls:
            self._compared, _ = _parts(_encoded(baseline.reference))

    def judge(self, window: WindowProfile) -> tuple[DetectorResult, ...]:
        """Return every detector's answer about a window, from its sample."""
        rows = 0 if window.sample is None else window.sample.num_rows
        if window.sample is None or rows < FEWEST_ROWS:
            note = f"{rows} sampled rows are too few to judge; {FEWEST_ROWS} are needed"
            return tuple(
                DetectorResult(d.name, None, None, None, drifted=False, rows=rows, note=note)
                for d in sample_detectors()
                if d.name in self._nulls
            )
        encoded = encode(window.sample, self._reference)
        return tuple(self._judged(d, encoded) for d in sample_detectors() if d.name in self._nulls)

    def _judged(self, detector: SampleDetector, window: Floats) -> DetectorResult:
        null = self._nulls[detector.name]
        statistic = detector.statistic(self._compared, window, np.random.default_rng(SEED))
        table = NullTable(null.rows, null.levels, null.quantiles[None, None], len(self._compared))
        quantiles = table.at(np.array([[float(len(window))]]))
        p = float(p_values(np.array([[statistic]]), quantiles, null.levels)[0, 0])
        threshold = float(critical_values(np.array([[RATE]]), quantiles, null.levels)[0, 0])
        effect = max(statistic - float(quantiles[0, 0, MEDIAN]), 0.0)
        return DetectorResult(
            detector.name,
            None,
            statistic,
            threshold,
            drifted=statistic > threshold,
            p_value=p,
            effect=effect,
            rows=len(window),
            reference_rows=len(self._compared),
        )


def _encoded(reference: WindowProfile) -> Floats:
    if reference.sample is None:
        return np.zeros((0, 0))
    parts = [
        encode(reference.sample.slice(at, MOST_ROWS), reference)
        for at in range(0, reference.sample.num_rows, MOST_ROWS)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, 0))


def _parts(rows: Floats) -> tuple[Floats, Floats]:
    """Return the rows that windows are compared with, and the rest, from which windows without drift are drawn."""
    cut = min(COMPARED, len(rows) // 2)
    return rows[:cut], rows[cut:]


def _quantiles(
    detector: SampleDetector, compared: Floats, rest: Floats, size: int, rng: np.random.Generator
) -> Floats:
    drawn = [
        detector.statistic(
            compared, rest[rng.choice(len(rest), size, replace=False)], np.random.default_rng(SEED)
        )
        for _ in range(detector.draws)
    ]
    return tail_quantiles(np.array(drawn), LEVELS)


def _consecutive(reference: WindowProfile, batch: EventBatch | None, size: int) -> list[Floats]:
    """Return some of the reference's own consecutive windows; none where its order is not known or it is short."""
    if batch is None or batch.rows < REPLAYED * size:
        return []
    starts = np.linspace(0, batch.rows - size, REPLAYED).astype(int)
    return [encode(batch.table.slice(int(start), size), reference) for start in starts]


def _wandering(detector: SampleDetector, compared: Floats, own: Sequence[Floats], median: float) -> float:
    """Return by what factor (at least 1) consecutive windows lie farther than drawn ones do in the middle."""
    if not own:
        return 1.0
    far = [detector.statistic(compared, window, np.random.default_rng(SEED)) for window in own]
    return max(float(np.median(far)) / max(median, 1e-12), 1.0)
