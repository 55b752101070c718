"""What estimates do on the reference's own windows, and how dependence between windows is measured."""

from __future__ import annotations

import numpy as np
import pytest

from mlhealth.budget.limits import BudgetLimits, Spread
from mlhealth.budget.residuals import (
    DEVIATION,
    FEWEST_WINDOWS,
    NULL,
    RESIDUAL,
    SMALL,
    dependence,
    replay,
    residual_nulls,
)
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.cbpe import CBPE
from mlhealth.estimators.synthetic import synthetic_rows
from mlhealth.objective import Objective

OBJECTIVE = Objective("accuracy", 0.05)


def fitted(rows: int) -> tuple[CBPE, FitInputs]:
    """Return CBPE fitted on synthetic rows, and what it was fitted on."""
    inputs = FitInputs(synthetic_rows(rows, seed=1).rows, ("accuracy",))
    return CBPE.fit(inputs), inputs


def test_replayed_windows_lose_nothing() -> None:
    """On the reference's own windows residuals lie about 0, well within what the intervals allow."""
    estimator, inputs = fitted(4_000)
    found = replay(estimator, inputs.reference, [OBJECTIVE], 250)["accuracy"]
    assert len(found.residuals) == 16
    assert abs(found.residuals.mean()) < 0.5
    assert found.residuals.std() < 1.0
    assert np.all(found.deviations > 0.0)


def test_nulls_become_a_spread() -> None:
    """The nulls a baseline keeps are read back as bias, scale and deviation at each size that was replayed."""
    estimator, inputs = fitted(4_000)
    nulls = residual_nulls(estimator, inputs.reference, [OBJECTIVE], np.random.default_rng(0))
    spread = Spread.of(nulls[NULL, RESIDUAL], nulls[NULL, DEVIATION])
    assert spread.sizes == (250,)
    bias, scale, deviation = spread.at(500)
    assert bias >= 0.0
    assert 0.3 <= scale < 1.5
    assert 0.005 < deviation < 0.1


def test_a_short_reference_tells_nothing() -> None:
    """With fewer than eight windows there is no spread, and the limits take intervals at their word."""
    estimator, inputs = fitted(FEWEST_WINDOWS * SMALL - 1)
    assert residual_nulls(estimator, inputs.reference, [OBJECTIVE], np.random.default_rng(0)) == {}
    assert BudgetLimits(OBJECTIVE, 7.0, 0.01).spread is None


@pytest.mark.parametrize(("correlation", "low", "high"), [(0.0, 1.0, 1.25), (0.8, 1.3, 1.8)])
def test_dependence_is_measured(correlation: float, low: float, high: float) -> None:
    """Independent residuals are left as they are; those of neighbours that err alike are widened."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(20):
        noise = rng.normal(size=200)
        for i in range(1, len(noise)):
            noise[i] = correlation * noise[i - 1] + noise[i] * np.sqrt(1 - correlation**2)
        found.append(dependence(noise, rng))
    assert low <= np.mean(found) <= high
