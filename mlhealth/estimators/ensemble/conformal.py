"""How wide the intervals must be: measured on made-up windows of reference rows that the estimator did not learn from.

Half of the reference plays the reference, the other half the window, treated and shifted in many ways. The error in
units of the estimate's own spread (sampling, disagreement of explanations, misfit) gives the factor by which that
spread must be multiplied: the greatest quantile over the families left out one at a time, shrunk towards a normal
error's, since made-up windows are few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlhealth.corrupt import corrupt, eligible, kinds
from mlhealth.errors import DataError
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.ensemble.answers import Answer
from mlhealth.estimators.ensemble.core import Core
from mlhealth.estimators.ensemble.outputs import merged
from mlhealth.estimators.metric_names import metric_of
from mlhealth.estimators.metrics import realised
from mlhealth.estimators.reference import LEAST_ROWS
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.shifts import Population, resample

MISFIT = 0.25
"""Share of a row's deviation that the interval grows by, for a window that nothing explains."""
DRIFT, DRIFTED = 0.2, (0.05, 0.3)
"""Share that it grows by for what comes with unexplained movement (labels that follow another rule, unseen): and the
misfit from which, and at which fully, such movement is taken for certain."""
DRIFT_OF_RANKINGS, DRIFT_OF_LOSSES = 0.7, 2.0
"""Rankings outlast a drift better than levels do; losses without a bound worse."""
RANKINGS, UNBOUNDED = ("roc_auc", "average_precision"), ("mae", "rmse", "mape", "log_loss")
LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95, 0.99)
NORMAL = (0.674, 0.994, 1.282, 1.645, 1.960, 2.576)
UNMEASURED = tuple(1.3 * n for n in NORMAL)
"""Factors where the reference is too small to make windows of it."""
LEAST_PLAYED = 100
PRIOR_WINDOWS = 30.0
NARROWEST, WIDEST = 0.75, 3.0
SIZE = 600
FAULTS = ("missing", "unit error", "swapped columns", "noise", "typos", "stuck constant", "misaligned join",
          "outliers", "offset", "recoded categories")  # fmt: skip


@dataclass(frozen=True)
class Factors:
    """By metric, what the spread is multiplied by at each of `LEVELS`."""

    by_metric: dict[str, tuple[float, ...]]

    def at(self, metric: str, level: float) -> float:
        """Return the factor of a metric for intervals of coverage `level`."""
        return float(np.interp(level, LEVELS, self.by_metric.get(metric, NORMAL)))


def spread(answer: Answer, misfit: float, metric: str, row_deviation: float) -> float:
    """Return the standard deviation of an answer's error before calibration."""
    low, high = DRIFTED
    drifted = DRIFT * float(np.clip((misfit - low) / (high - low), 0.0, 1.0))
    if metric in RANKINGS:
        drifted *= DRIFT_OF_RANKINGS
    elif metric in UNBOUNDED:
        drifted *= DRIFT_OF_LOSSES
    unexplained = float(np.hypot(MISFIT * misfit, drifted)) * row_deviation
    return float(np.sqrt(answer.sampling**2 + answer.disagreement**2 + unexplained**2))


def calibrate(inputs: FitInputs, full: Core, scorer: Scorer | None) -> Factors:
    """Measure the factors on made-up windows; `full`: the core whose stand-ins are used.

    The scorer, if there is one, answers to the made-up windows as the deployed model would; they are judged without
    it, since it may not be there later.
    """
    rng = np.random.default_rng([inputs.seed, 11])
    reference = full.bench.memory.rows
    order = rng.permutation(len(reference))
    cut = max(len(reference) // 2, LEAST_ROWS)
    if len(reference) - cut < LEAST_PLAYED:
        return Factors(dict.fromkeys(inputs.metrics, UNMEASURED))
    learn, play = reference.take(order[:cut]), reference.take(order[cut:])
    try:
        half = Core.fit(replace(inputs, reference=learn, train=None, scorer=None), full.surrogate)
    except DataError:
        return Factors(dict.fromkeys(inputs.metrics, UNMEASURED))
    deviation = row_deviations(half, inputs.metrics)
    errors: dict[str, list[tuple[str, float]]] = {m: [] for m in inputs.metrics}
    for family, window in _windows(play, full, scorer, rng):
        verdict = half.judge(replace(window, label=None))
        truth = realised(window, inputs.metrics)
        for metric, answer in verdict.answers.items():
            true = truth[metric].value
            if isinstance(answer, str) or true is None:
                continue
            width = max(spread(answer, verdict.misfit, metric, deviation.get(metric, 0.0)), 1e-9)
            errors[metric].append(
                (family, _error(answer.value, true, width, metric_of(metric, window.schema).by_ratio))
            )
    return Factors({m: _factors(found) for m, found in errors.items()})


def row_deviations(core: Core, metrics: Sequence[str]) -> dict[str, float]:
    """Return by metric the standard error of the reference times the root of its rows: one row's deviation."""
    found = realised(core.bench.memory.rows, metrics)
    root = float(np.sqrt(len(core.bench.memory.rows)))
    return {m: (f.standard_error or 0.0) * root for m, f in found.items()}


def _error(value: float, true: float, width: float, log: bool) -> float:
    if log and value > 0 and true > 0:
        return abs(float(np.log(true / value))) * value / width
    return abs(true - value) / width


def _factors(errors: Sequence[tuple[str, float]]) -> tuple[float, ...]:
    """Return the factor at each level: the greatest over families left out, shrunk to a normal error's."""
    if len(errors) < 5:
        return NORMAL
    families = sorted({f for f, _ in errors})
    out = []
    for level, normal in zip(LEVELS, NORMAL, strict=True):
        left_out = [[e for f, e in errors if f != family] for family in families]
        found = max(float(np.quantile(kept, level)) for kept in left_out if kept)
        mixed = (found * len(errors) + normal * PRIOR_WINDOWS) / (len(errors) + PRIOR_WINDOWS)
        out.append(float(np.clip(mixed, NARROWEST * normal, WIDEST * normal)))
    return tuple(float(v) for v in np.maximum.accumulate(out))


def _windows(
    play: Rows, core: Core, scorer: Scorer | None, rng: np.random.Generator
) -> Iterator[tuple[str, Rows]]:
    """Make labelled windows of several families from rows that the halved core has not seen."""
    size = min(SIZE, max(len(play) // 2, 50))
    assert play.label is not None
    population = Population(play.features, play.label)
    for family, times in (("iid", 8), ("tilt", 4), ("cluster", 4), ("label mix", 5)):
        for _ in range(times):
            yield family, play.take(resample(population, family, size, rng))
    for kind in FAULTS:
        if len(eligible(play.features, kind)) < kinds()[kind].at_least:
            continue
        rows = play.take(resample(population, "iid", size, rng))
        fraction = float(rng.choice([0.3, 0.6, 1.0]))
        try:
            broken = corrupt(rows.features, kind, rng=rng, fraction=fraction).features
        except DataError:
            continue
        ask = scorer if scorer is not None else core.surrogate.alone(rows)
        yield kind, merged(rows.schema, broken, ask(broken), rows.label)
