"""Which calibration of scores is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from mlhealth.estimators.calibration import biased, choose_calibrator
from mlhealth.estimators.rows import Rows
from mlhealth.estimators.synthetic import synthetic_rows


def sharpened(rows: Rows, power: float) -> Rows:
    """Return rows whose scores are surer than they should be; the answers stay."""
    assert rows.scores is not None
    odds = (rows.scores[:, 1] / (1.0 - rows.scores[:, 1])) ** power
    sure = odds / (1.0 + odds)
    return Rows(rows.schema, rows.features, rows.prediction, np.column_stack([1.0 - sure, sure]), rows.label)


@pytest.mark.parametrize("seed", range(5))
def test_scores_that_are_too_sure_on_the_whole_are_never_taken_as_they_are(seed: int) -> None:
    """On few rows too, where the log loss hardly tells: mean confidence then misses the accuracy beyond chance."""
    rows = sharpened(synthetic_rows(900, seed=seed).rows, 2.5)
    assert rows.label is not None
    label = rows.label.astype(np.int64)
    assert biased(rows.scores, rows.prediction.astype(np.int64), label)  # type: ignore[arg-type]
    chosen = choose_calibrator(rows, label, np.random.default_rng(seed))
    assert not chosen.raw
    expected = chosen.posterior(rows.prediction.astype(np.int64), rows.scores)
    sure = expected[np.arange(len(label)), rows.prediction.astype(np.int64)]
    assert float(sure.mean()) == pytest.approx(float(np.mean(rows.prediction == label)), abs=0.02)
