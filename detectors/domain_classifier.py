"""How well a classifier tells window rows from reference rows."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from mlhealth.detectors.cells import Floats
from mlhealth.detectors.sample_base import ALPHA, SampleDetector, Verdict

FOLDS = 2


class DomainClassifier(SampleDetector):
    """Area under the ROC curve of a cross-fitted boosted classifier of reference against window; 0.5 is no drift.

    Rabanser et al. (2019), Failing loudly, arXiv:1810.11953. The null is that of the Mann-Whitney statistic of
    independent rows, widened for the folds it is averaged over.
    """

    name = "domain_classifier"
    draws = 16

    def statistic(self, reference: Floats, window: Floats, rng: np.random.Generator) -> float:
        return self.compare(reference, window, rng).statistic

    def compare(self, reference: Floats, window: Floats, rng: np.random.Generator) -> Verdict:
        from sklearn.ensemble import HistGradientBoostingClassifier

        x = np.vstack([reference, window])
        y = np.r_[np.zeros(len(reference)), np.ones(len(window))]
        fold = np.zeros(len(y), dtype=int)
        for own in (y == 0, y == 1):
            fold[own] = rng.permutation(np.arange(own.sum()) % FOLDS)
        areas, variance = [], 0.0
        for k in range(FOLDS):
            model = HistGradientBoostingClassifier(
                max_iter=25, max_depth=3, learning_rate=0.2, early_stopping=False, random_state=0
            )
            model.fit(x[fold != k], y[fold != k])
            areas.append(_area(model.decision_function(x[fold == k]), y[fold == k]))
            n, m = int(np.sum(y[fold == k])), int(np.sum(1 - y[fold == k]))
            variance += (n + m + 1) / (12.0 * n * m) / FOLDS**2
        area, error = float(np.mean(areas)), float(np.sqrt(variance))
        p = 1.0 - float(ndtr((area - 0.5) / error))
        return Verdict(area, 0.5 + float(ndtri(1.0 - ALPHA)) * error, p)


def _area(score: Floats, y: Floats) -> float:
    ranks = rankdata(score)
    n, m = int(y.sum()), int((1 - y).sum())
    return float((ranks[y == 1].sum() - n * (n + 1) / 2) / (n * m))
