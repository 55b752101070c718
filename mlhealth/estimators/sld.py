"""SLD: the class mix of the window by expectation-maximisation, behind a fit test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.class_mix import ClassMixEstimator
from mlhealth.estimators.encode import canonical_order
from mlhealth.estimators.posterior import Posterior, PosteriorEstimator
from mlhealth.estimators.rows import Rows
from mlhealth.records import EstimateStatus

Floats = NDArray[np.float64]
ROUNDS = 200


@dataclass(frozen=True)
class SLD(ClassMixEstimator, PosteriorEstimator):
    """Posteriors moved to the window's own class mix, which EM finds from the calibrated scores.

    Repeats pi_c <- mean of q_c, q_c <- p_c pi_c / pi_ref_c (normalised) to its fixed point. The result is
    used only where weighting the reference by class brings its columns to the window's (see `label_shift`);
    else this is CBPE and the note says so.

    Source: Saerens, Latinne, Decaestecker, "Adjusting the outputs of a classifier to new a priori
    probabilities", Neural Computation 2002.

    Assumes label shift: P(features | label) unchanged. Without the fit test it is far off wherever that is
    false.

    >>> from mlhealth.estimators.base import FitInputs
    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> reference = synthetic_rows(2000).rows
    >>> rows = synthetic_rows(4000, seed=1).rows
    >>> fewer = rows.take(np.flatnonzero((rows.label == 0) | (np.arange(4000) % 5 == 0)))
    >>> found = SLD.fit(FitInputs(reference, ("f1",))).estimate(fewer)["f1"]
    >>> found.reference - found.value > 0.1
    True
    """

    name: ClassVar[str] = "sld"

    def posterior(self, window: Rows) -> Posterior:
        plain = self.calibrator.posterior(window.prediction.astype(np.int64), window.scores)
        prior = np.bincount(self.label, minlength=plain.shape[1]) / len(self.label)
        if len(window) == 0:
            return Posterior(plain, self.reference.rows)
        encoded = self.kept.encoded(window)
        order = canonical_order(encoded)  # sums in EM then do not depend on the order of rows
        mix = em_prior(plain[order], prior)
        ratio = mix / np.maximum(prior, 1e-9)
        fit = self.explains(ratio, encoded)
        if not fit.accepted:
            status = EstimateStatus.OK if fit.nothing_moved else EstimateStatus.WIDENED
            return Posterior(plain, self.reference.rows, status, fit.note)
        moved = plain * ratio
        weight = ratio[self.label]
        effective = float(weight.sum() ** 2 / (weight @ weight))
        # the mix is itself an estimate from the window: its error is met by counting a quarter of the rows
        return Posterior(moved / moved.sum(axis=1, keepdims=True), effective / 4.0)


def em_prior(posterior: Floats, prior: Floats) -> Floats:
    """Return the class mix, (k,), that makes posteriors under `prior` consistent with their own mean."""
    base = np.maximum(prior, 1e-9)
    mix = base.copy()
    for _ in range(ROUNDS):
        moved = posterior * (mix / base)
        following = (moved / np.maximum(moved.sum(axis=1, keepdims=True), 1e-300)).mean(axis=0)
        if float(np.abs(following - mix).max()) < 1e-9:
            break
        mix = following
    return mix
