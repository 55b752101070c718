"""One suite over every estimation method, found by reflection: what `mlhealth.estimators.base` promises."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io

from mlhealth.baseline.record import FittedState
from mlhealth.errors import DataError
from mlhealth.estimators.base import PRIMARY, Estimator, FitInputs
from mlhealth.estimators.metric_names import default_metrics, metric_of
from mlhealth.estimators.metrics import realised
from mlhealth.estimators.registry import estimators
from mlhealth.estimators.rows import Rows, rows_from_table
from mlhealth.estimators.synthetic import synthetic_rows, synthetic_schema
from mlhealth.events.batch import KEY, PREDICTION, TIME, EventBatch, score_columns
from mlhealth.profile.layout import layout_of
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import Feature, FeatureType, Storage, Task
from mlhealth.threads import single_threaded

CASES = [(name, task) for name, cls in estimators().items() for task in sorted(cls.tasks)]
every = pytest.mark.parametrize(("name", "task"), CASES)
REFERENCE = 2000
Answers = dict[str, PerformanceEstimate]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with single_threaded():
        yield


def metrics(task: Task) -> tuple[str, ...]:
    """Return the metrics of a task."""
    return default_metrics(synthetic_rows(1, task=task).rows.schema)


@cache
def fitted(name: str, task: Task) -> Estimator:
    """Return a method fitted to the usual reference, once for all tests."""
    reference = synthetic_rows(REFERENCE, seed=7, task=task).rows
    return estimators()[name].fit(FitInputs(reference, metrics(task)))


def window(task: Task, rows: int = 300, seed: int = 1, shift: float = 0.0) -> Rows:
    """Return a window without labels."""
    return replace(synthetic_rows(rows, seed=seed, task=task, shift=shift).rows, label=None)


def hold(answers: Answers, rows: Rows) -> None:
    """Check what every answer promises, whatever the window."""
    assert set(answers) == set(default_metrics(rows.schema))
    for metric, found in answers.items():
        assert found.metric == metric
        if found.status is EstimateStatus.NOT_IDENTIFIABLE:
            assert (found.value, found.lower, found.upper) == (None, None, None)
            assert found.note
            continue
        assert found.value is not None
        assert found.lower is not None
        assert found.upper is not None
        assert all(math.isfinite(v) for v in (found.value, found.lower, found.upper))
        known = metric_of(metric, rows.schema)
        assert known.lower <= found.lower <= found.value <= found.upper <= known.upper


@every
def test_same_distribution_lies_inside_its_interval(name: str, task: Task) -> None:
    """On windows like the reference, the 90 % interval of the primary metric holds the truth at about that rate."""
    method, metric, inside = fitted(name, task), PRIMARY[task], []
    for seed in range(24):
        rows = synthetic_rows(300, seed=1000 + seed, task=task).rows
        found, truth = method.estimate(rows)[metric], realised(rows, [metric])[metric].value
        assert found.lower is not None
        assert found.upper is not None
        assert truth is not None
        inside.append(found.lower <= truth <= found.upper)
    assert np.mean(inside) >= 0.7


@every
def test_order_of_rows_does_not_matter(name: str, task: Task) -> None:
    """A window's rows in another order give the same estimates."""
    rows = window(task, shift=0.5)
    turned = rows.take(np.random.default_rng(3).permutation(len(rows)))
    ours, theirs = fitted(name, task).estimate(rows), fitted(name, task).estimate(turned)
    for metric in ours:
        assert ours[metric].status == theirs[metric].status
        for part in ("value", "lower", "upper"):
            one, other = getattr(ours[metric], part), getattr(theirs[metric], part)
            assert one is other is None or one == pytest.approx(other, rel=1e-9, abs=1e-12)


@every
def test_same_distribution_raises_no_alarm(name: str, task: Task) -> None:
    """On windows like the reference, intervals of 98 % exclude the reference's own value at most at a nominal rate."""
    method, metric, alarms = fitted(name, task), PRIMARY[task], 0
    for seed in range(30):
        found = method.estimate(window(task, seed=3000 + seed), level=0.98)[metric]
        assert found.lower is not None
        assert found.upper is not None
        assert found.reference is not None
        alarms += not found.lower <= found.reference <= found.upper
    assert alarms <= 2  # at 2 % of windows, three or more of 30 have a chance of 2 %


def batch_of(rows: Rows) -> EventBatch:
    """Return the rows as the stream holds them, each with a key of its own."""
    columns: dict[str, pa.Array] = {
        KEY: pa.array((np.arange(len(rows), dtype=np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)),
        TIME: pa.array(np.arange(len(rows), dtype=np.int64)),
        PREDICTION: pa.array(rows.prediction),
    }
    names = score_columns(rows.schema)
    if rows.scores is not None:
        columns |= {n: pa.array(rows.scores[:, i - len(names)]) for i, n in enumerate(names)}
    for feature in rows.schema.features:
        values = rows.features[feature.name].to_numpy()
        columns[feature.name] = pa.array(values, from_pandas=feature.type is not FeatureType.NUMERIC)
    return EventBatch(rows.schema, pa.table(columns))


@every
def test_merged_windows_are_the_window_of_their_rows(name: str, task: Task) -> None:
    """Profiles of three parts, merged in any grouping, give the estimates of one profile of all rows."""
    batch = batch_of(window(task, 600, shift=0.5))
    layout = layout_of(batch, sample_rows=400)
    parts = [
        WindowProfile.of(EventBatch(batch.schema, batch.table.slice(start, rows)), layout)
        for start, rows in ((0, 100), (100, 350), (450, 150))
    ]
    whole = WindowProfile.of(batch, layout)
    merged = (parts[2].merge(parts[0]).merge(parts[1]), parts[1].merge(parts[2].merge(parts[0])))
    method = fitted(name, task)
    for profile in merged:
        assert profile.sample is not None
        assert whole.sample is not None
        ours = method.estimate(rows_from_table(profile.sample, batch.schema))
        assert ours == method.estimate(rows_from_table(whole.sample, batch.schema))


@every
def test_the_same_seed_gives_the_same_method(name: str, task: Task) -> None:
    """Fitting twice from one seed and asking twice gives equal answers."""
    reference = synthetic_rows(REFERENCE, seed=7, task=task).rows
    again = estimators()[name].fit(FitInputs(reference, metrics(task)))
    rows = window(task, shift=0.5)
    assert again.estimate(rows) == fitted(name, task).estimate(rows)
    assert again.estimate(rows) == again.estimate(rows)


def stored(state: FittedState) -> FittedState:
    """Write a state as a baseline does (JSON, npz, skops that trusts scikit-learn and numpy) and read it."""
    held = io.BytesIO()
    np.savez(held, *state.arrays.values())
    held.seek(0)
    read = np.load(held, allow_pickle=False)
    arrays = {key: read[f"arr_{i}"] for i, key in enumerate(state.arrays)}
    models = {}
    for key, model in state.models.items():
        data = skops.io.dumps(model)
        unknown = skops.io.get_untrusted_types(data=data)
        assert all(kind.startswith(("sklearn.", "numpy.")) for kind in unknown), unknown
        models[key] = skops.io.loads(data, trusted=unknown)
    return FittedState(json.loads(json.dumps(dict(state.params))), arrays, models)


@every
def test_state_survives_exactly(name: str, task: Task) -> None:
    """A method read back from its stored state answers bit for bit as before."""
    method = fitted(name, task)
    back = type(method).from_state(stored(method.state()))
    for shift in (0.0, 1.0):
        rows = window(task, shift=shift)
        assert back.estimate(rows) == method.estimate(rows)


@every
def test_windows_of_one_row_and_of_none(name: str, task: Task) -> None:
    """One row, and no row, give honest answers or the reason why there is none."""
    for count in (1, 0):
        rows = window(task, 20).take(np.arange(count, dtype=np.intp))
        hold(fitted(name, task).estimate(rows), rows)


def without_features(rows: Rows) -> Rows:
    """Return the rows with every feature missing."""
    gone = pd.DataFrame(
        {
            "x": np.full(len(rows), np.nan),
            "z": np.full(len(rows), np.nan),
            "region": pd.Series(np.full(len(rows), None, dtype=object), dtype=object),
        }
    )
    return replace(rows, features=gone)


def extreme(rows: Rows) -> Rows:
    """Return the rows with a number out of all bounds and a category never seen."""
    features = rows.features.assign(
        x=rows.features["x"] * 1e12, region=pd.Series(["moon"] * len(rows), dtype=object)
    )
    return replace(rows, features=features)


def constant(rows: Rows) -> Rows:
    """Return the first row over and over."""
    return rows.take(np.zeros(len(rows), dtype=np.intp))


def certain(rows: Rows) -> Rows:
    """Return the rows with scores of 0 and 1."""
    if rows.scores is None:
        return rows
    return replace(rows, scores=np.eye(rows.scores.shape[1])[rows.prediction.astype(np.int64)])


def contradicted(rows: Rows) -> Rows:
    """Return the rows with predictions that do not follow from the scores."""
    turned = rows.prediction[::-1].copy()
    return replace(rows, prediction=turned)


ODD = [without_features, extreme, constant, certain, contradicted]


@every
@pytest.mark.parametrize("treat", ODD, ids=lambda f: f.__name__)
def test_odd_windows_get_honest_answers(name: str, task: Task, treat: object) -> None:
    """Missing, extreme, constant, over-sure and contradictory rows never give NaN or leave a metric's range."""
    assert callable(treat)
    rows = treat(window(task))
    hold(fitted(name, task).estimate(rows), rows)


@every
def test_a_small_reference_is_refused(name: str, task: Task) -> None:
    """A reference of 100 rows is refused in words that say what to give."""
    small = synthetic_rows(100, task=task).rows
    with pytest.raises(DataError, match=r"500.*give more"):
        estimators()[name].fit(FitInputs(small, metrics(task)))


@every
def test_a_reference_of_one_class_is_refused(name: str, task: Task) -> None:
    """A classifier's reference whose labels are all alike is refused."""
    rows = synthetic_rows(800, task=task).rows
    if task is Task.REGRESSION:
        pytest.skip("regression has no classes")
    with pytest.raises(DataError, match="each class"):
        estimators()[name].fit(FitInputs(replace(rows, label=np.zeros(800, np.int64)), metrics(task)))


def awkward_reference(task: Task) -> Rows:
    """Return a reference with a constant column, an empty one and one of thousands of categories; 0/1 scores."""
    rows = synthetic_rows(900, seed=11, task=task).rows
    schema = replace(
        synthetic_schema(task, len(rows.schema.classes)),
        features=(
            *rows.schema.features,
            Feature("same", FeatureType.NUMERIC, Storage.FLOAT),
            Feature("empty", FeatureType.NUMERIC, Storage.FLOAT),
            Feature("user", FeatureType.CATEGORICAL, Storage.STRING),
        ),
    )
    users = pd.Series([f"user-{i * 7919 % 50_000}" for i in range(900)], dtype=object)
    features = rows.features.assign(same=1.0, empty=np.nan, user=users)
    return certain(replace(rows, schema=schema, features=features))


@every
def test_awkward_references_are_borne(name: str, task: Task) -> None:
    """Constant, empty and high-cardinality columns and 0/1 scores in the reference still give honest answers."""
    reference = awkward_reference(task)
    method = estimators()[name].fit(FitInputs(reference, metrics(task)))
    rows = reference.take(np.arange(200, dtype=np.intp))
    hold(method.estimate(replace(rows, label=None)), rows)


@every
def test_few_errors_are_said_or_borne(name: str, task: Task) -> None:
    """A nearly perfect model's reference gives estimates near its metrics, or the reason why not."""
    rows = synthetic_rows(900, seed=13, task=task).rows
    label = rows.prediction.copy()
    label[:5] = (label[:5] + 1) % max(len(rows.schema.classes), 2)
    reference = replace(rows, label=label)
    found = estimators()[name].fit(FitInputs(reference, metrics(task))).estimate(window(task))
    hold(found, reference)
    if task is not Task.REGRESSION:
        accuracy = found["accuracy"]
        assert accuracy.upper is None or accuracy.upper > 0.97


@every
def test_models_without_scores(name: str, task: Task) -> None:
    """A classifier that logs no scores gets estimates of what labels allow, and reasons for the rest."""
    rows = synthetic_rows(900, seed=17, task=task).rows
    if task is Task.REGRESSION:
        pytest.skip("a regressor has no scores")
    reference = replace(rows, scores=None)
    try:
        method = estimators()[name].fit(FitInputs(reference, metrics(task)))
    except DataError as refused:
        assert "scores" in str(refused)  # noqa: PT017 - a refusal that says why is as good as an answer
        return
    found = method.estimate(replace(window(task), scores=None))
    hold(found, reference)
    assert found["roc_auc"].status is EstimateStatus.NOT_IDENTIFIABLE
    assert re.search("scores|does not estimate|accuracy only", found["roc_auc"].note or "")
