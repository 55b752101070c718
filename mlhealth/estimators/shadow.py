"""Shadow: the deployed regressor against a second one that sees the same columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mlhealth.estimators.views import RedundantViews
from mlhealth.schema.model_schema import Task


@dataclass(frozen=True)
class Shadow(RedundantViews):
    """Losses from the distance to a second regressor, trained on the same columns.

    A single view of every column in place of many on halves; otherwise as `views`: what the distance means
    is learnt from windows made from the reference.

    Source: the idea is that of a shadow (challenger) model, as in Jiang et al., "Assessing generalization via
    disagreement", ICLR 2022.

    Assumes that both regressors do not fail alike. Where a column breaks that both lean on, they do; blind to
    concept drift. Answers MAE and RMSE.

    >>> from mlhealth.estimators.base import FitInputs
    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = Shadow.fit(FitInputs(synthetic_rows(1000, task=Task.REGRESSION).rows, ("mae",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1, task=Task.REGRESSION).rows)["mae"]
    >>> 0 < found.lower < found.value < found.upper
    True
    """

    name: ClassVar[str] = "shadow"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.REGRESSION})
    count: ClassVar[int] = 1
