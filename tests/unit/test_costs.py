"""What costs accuracy: the feature whose mix changed, the segment that grew, and the share of a broken column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlhealth.causes.costs import Asked, CostModel
from mlhealth.estimators.rows import Rows
from mlhealth.objective import Objective
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

OBJECTIVE = Objective("accuracy", 0.05)


def rows(count: int, seed: int, north: float = 0.2) -> Rows:
    """Return labelled rows: every third prediction is wrong in the north, hardly any elsewhere."""
    rng = np.random.default_rng(seed)
    region = np.where(rng.random(count) < north, "north", "south")
    prediction = rng.integers(0, 2, count)
    wrong = rng.random(count) < np.where(region == "north", 0.35, 0.03)
    features = pd.DataFrame({"age": rng.normal(40, 10, count), "region": region})
    known = (
        Feature("age", FeatureType.NUMERIC, Storage.FLOAT),
        Feature("region", FeatureType.CATEGORICAL, Storage.STRING),
    )
    schema = ModelSchema("m", "1", Task.BINARY, known, "p", Storage.INTEGER, (), ("0", "1"), label="y")
    return Rows(schema, features, prediction, None, np.where(wrong, 1 - prediction, prediction))


@pytest.fixture(scope="module")
def model() -> CostModel:
    """A cost model of 4,000 reference rows."""
    return CostModel(rows(4_000, 0), OBJECTIVE)


def test_the_feature_and_the_segment_that_cost_are_named(model: CostModel) -> None:
    """Where the hard region grows from 20 % to 70 %, it is named as feature and as segment, at about its cost."""
    found = model.costs(rows(2_000, 1, north=0.7), Asked(None))
    feature = next(c for c in found if c.kind == "feature")
    assert feature.name == "region"
    assert feature.cost == pytest.approx(0.5 * 0.32, abs=0.04)
    segment = next(c for c in found if c.kind == "segment")
    assert "region = north" in segment.name
    assert segment.share == pytest.approx(0.7, abs=0.05)
    assert segment.value == pytest.approx(0.65, abs=0.05)


def test_a_window_like_the_reference_costs_nothing(model: CostModel) -> None:
    """Without any shift no feature costs a point, and no segment is sure to cost anything."""
    found = model.costs(rows(2_000, 2), Asked(None))
    assert all(c.cost < 0.015 for c in found if c.kind == "feature")
    assert not [c for c in found if c.kind == "segment" and c.cost > 0.02]


def test_a_broken_column_bears_what_is_lost(model: CostModel) -> None:
    """What the estimate loses beyond any mix of rows is the broken column's; its own values make no segment."""
    estimate = PerformanceEstimate("accuracy", 0.75, 0.72, 0.78, EstimateStatus.OK, "mpp", 0.906)
    found = model.costs(rows(2_000, 3), Asked(estimate, {"age": 1.0}))
    assert (found[0].name, found[0].kind) == ("age", "feature")
    assert found[0].cost == pytest.approx(0.15, abs=0.04)
    assert not [c for c in found if c.kind == "segment" and "age" in c.features]
