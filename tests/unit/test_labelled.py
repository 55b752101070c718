"""What labels say of a window, by how they came about, and what of it is believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from mlhealth.baseline.record import Baseline
from mlhealth.estimators.few_labels import inclusion_probabilities, suggest_labels
from mlhealth.estimators.row_model import plain_row_model, row_model
from mlhealth.estimators.synthetic import synthetic_rows
from mlhealth.events.batch import KEY
from mlhealth.events.normalise import Origin, normalise
from mlhealth.fit import fit
from mlhealth.health import HealthInputs, score
from mlhealth.labels.kept_sample import KeptSample
from mlhealth.labels.labelled import Labelled, LabelReader
from mlhealth.labels.track_record import Comparison, track_records
from mlhealth.monitor import Evaluator
from mlhealth.objective import Objective
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import Cause, HealthStatus, LabelDesign, WindowKey, WindowReport
from mlhealth.schema.model_schema import Task
from mlhealth.store.labels import Draw, drawn
from tests.servers.stream import loan_baseline, loan_rows, loan_schema

ROWS = 2_000


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """A small baseline."""
    return loan_baseline()


@pytest.fixture(scope="module")
def window(baseline: Baseline) -> tuple[WindowReport, KeptSample, NDArray[np.int64]]:
    """A window's report without labels, its kept sample, and labels half of which no longer follow the inputs."""
    table = loan_rows(ROWS, seed=5)
    batch = normalise(table, baseline.schema, Origin.file("w", ROWS), labels=True).batch
    profile = WindowProfile.of(batch, baseline.layout)
    unlabelled = replace(profile, sample=profile.sample.drop_columns(["__label"]))  # type: ignore[union-attr]
    report = Evaluator(baseline).evaluate(unlabelled, WindowKey("loans", "1", "", 0, 10))
    kept = KeptSample.of(unlabelled.sample, baseline.schema, row_model(baseline))
    assert profile.sample is not None
    label = np.asarray(profile.sample.column("__label").to_numpy()).astype(np.int64)
    moved = np.random.default_rng(1).random(ROWS) < 0.5
    return report, kept, np.where(moved, 1 - label, label)


def accuracy(kept: KeptSample, label: NDArray[np.int64]) -> float:
    """Return the true accuracy of the kept rows."""
    return float((kept.rows().prediction == label).mean())


def some(label: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the labels where the mask is true, -1 elsewhere."""
    return np.where(mask, label, -1)


def test_a_kept_sample_survives_its_bytes(
    window: tuple[WindowReport, KeptSample, NDArray[np.int64]], baseline: Baseline
) -> None:
    """Bytes and back give the same rows and expectations; without those the reference's frequencies stand in."""
    _, kept, _ = window
    again = KeptSample.from_bytes(kept.to_bytes(), baseline.schema)
    assert again.table.equals(kept.table)
    plain = plain_row_model(baseline)
    assert np.allclose(again.expected(plain).sum(axis=1), 1.0)
    older = KeptSample(kept.schema, kept.table.select([KEY, "__prediction", "__score:1"]))
    assert np.array_equal(older.expected(plain), plain(older.rows()))


def test_labels_of_all_rows_are_the_metric_itself(
    window: tuple[WindowReport, KeptSample, NDArray[np.int64]], baseline: Baseline
) -> None:
    """With every label the realised metric is exact; of a larger window it has the sample's own error."""
    report, kept, label = window
    exact = LabelReader(baseline).read(report, Labelled(kept, label, ROWS))
    assert exact.labels is not None
    assert exact.labels.design is LabelDesign.WHOLE
    assert exact.realized["accuracy"] == pytest.approx(accuracy(kept, label))
    assert exact.labels.intervals["accuracy"] == (exact.realized["accuracy"],) * 2
    larger = LabelReader(baseline).read(report, Labelled(kept, label, 50 * ROWS))
    assert larger.labels is not None
    lower, upper = larger.labels.intervals["accuracy"]
    assert upper - lower == pytest.approx(2 * 1.645 * 0.5 / np.sqrt(ROWS), rel=0.05)


def test_drawn_labels_are_unbiased_and_cover(
    window: tuple[WindowReport, KeptSample, NDArray[np.int64]], baseline: Baseline
) -> None:
    """Over 150 draws of 120 rows, the unsure more often, the mean estimate is the truth, and intervals hold."""
    report, kept, label = window
    rows, expected = kept.rows(), kept.expected(plain_row_model(baseline))
    probabilities = inclusion_probabilities(rows, expected, 120)
    rng, reader, truth = np.random.default_rng(3), LabelReader(baseline), accuracy(kept, label)
    values, inside, plain = [], [], []
    for _ in range(150):
        chosen = np.zeros(ROWS, np.bool_)
        chosen[suggest_labels(rows, expected, 120, rng).positions] = True
        known = Labelled(
            kept, some(label, chosen), ROWS, drawn([Draw(kept.keys, probabilities, chosen)], kept.keys)
        )
        found = reader.read(report, known)
        assert found.labels is not None
        assert found.labels.design is LabelDesign.DRAWN
        estimate = found.labels.estimates["accuracy"]
        assert estimate.value is not None
        assert found.realized["accuracy"] == estimate.value
        values.append(estimate.value)
        inside.append(estimate.lower <= truth <= estimate.upper)  # type: ignore[operator]
        plain.append(float((rows.prediction == label)[chosen].mean()))
    error = float(np.std(values)) / np.sqrt(150)
    assert abs(np.mean(values) - truth) < 3 * error
    assert np.mean(inside) > 0.82


def test_two_draws_count_as_one(
    window: tuple[WindowReport, KeptSample, NDArray[np.int64]], baseline: Baseline
) -> None:
    """Rows drawn twice or in either draw carry the probability of being drawn at all, and estimates stay unbiased."""
    report, kept, label = window
    rows, expected = kept.rows(), kept.expected(plain_row_model(baseline))
    rng, reader, truth = np.random.default_rng(4), LabelReader(baseline), accuracy(kept, label)
    values = []
    for _ in range(120):
        draws = []
        for count in (80, 60):
            chosen = np.zeros(ROWS, np.bool_)
            chosen[suggest_labels(rows, expected, count, rng).positions] = True
            draws.append(Draw(kept.keys, inclusion_probabilities(rows, expected, count), chosen))
        together = drawn(draws, kept.keys)
        assert together is not None
        found = reader.read(report, Labelled(kept, some(label, together > 0), ROWS, together))
        assert found.labels is not None
        values.append(found.labels.estimates["accuracy"].value or 0.0)
    assert abs(np.mean(values) - truth) < 3 * float(np.std(values)) / np.sqrt(120)


def test_labels_that_came_selectively_estimate_nothing(
    window: tuple[WindowReport, KeptSample, NDArray[np.int64]], baseline: Baseline
) -> None:
    """Labels of sure rows only are flagged: the metric is shown as theirs, and no estimate follows for the window."""
    report, kept, label = window
    scores = kept.rows().scores
    assert scores is not None
    found = LabelReader(baseline).read(report, Labelled(kept, some(label, scores[:, 1] > 0.6), ROWS))
    assert found.labels is not None
    assert found.labels.selective
    assert not found.labels.estimates
    assert "theirs only" in str(found.labels.note)
    assert "accuracy" in found.realized
    objective = Objective.of("accuracy", baseline.schema)
    before, after = (score(HealthInputs.of(r, objective)) for r in (report, found))
    assert (after.score, after.status) == (before.score, before.status)
    assert "say nothing about accuracy" in " ".join(reason.text for reason in after.reasons)


def test_a_handful_of_labels_says_nothing_yet(
    window: tuple[WindowReport, KeptSample, NDArray[np.int64]], baseline: Baseline
) -> None:
    """Twelve labels are shown and counted, and turn no score."""
    report, kept, label = window
    found = LabelReader(baseline).read(report, Labelled(kept, some(label, np.arange(ROWS) < 12), ROWS))
    assert found.labels is not None
    assert (found.labels.labelled, dict(found.labels.estimates)) == (12, {})
    assert "need 20" in str(found.labels.note)


def test_few_labels_turn_the_score_where_the_estimate_is_blind(
    window: tuple[WindowReport, KeptSample, NDArray[np.int64]], baseline: Baseline
) -> None:
    """A concept drop leaves the estimate healthy; 150 random labels make it the model's fault, and say so first."""
    report, kept, label = window
    objective = Objective.of("accuracy", baseline.schema)
    assert score(HealthInputs.of(report, objective)).status is HealthStatus.HEALTHY
    mask = np.random.default_rng(8).random(ROWS) < 0.075
    found = score(
        HealthInputs.of(
            LabelReader(baseline).read(report, Labelled(kept, some(label, mask), ROWS)), objective
        )
    )
    assert (found.status, found.cause) == (HealthStatus.CRITICAL, Cause.MODEL_WRONG)
    assert found.reasons[0].text.startswith("labels of ")
    assert found.parts["labels_upper"] < found.parts["lower"]


def test_regression_labels_are_read_too() -> None:
    """A regressor's mean absolute error from drawn labels is near the truth, and far nearer than the estimate."""
    made = synthetic_rows(1_200, task=Task.REGRESSION).rows
    frame = made.features.assign(answer=made.prediction, truth=made.label)
    schema = replace(
        made.schema, prediction="answer", label="truth", timestamp=None, id=None, segments=(), scores=()
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fitted = fit(table, schema, methods=["dle"])
    batch = normalise(table, schema, Origin.file("w", table.num_rows), labels=False).batch
    profile = WindowProfile.of(batch, fitted.layout)
    report = Evaluator(fitted).evaluate(profile, WindowKey(schema.model, schema.version, "", 0, 10))
    assert profile.sample is not None
    kept = KeptSample.of(profile.sample, schema, row_model(fitted))
    by_key = {int(k): i for i, k in enumerate(batch.array(KEY).tolist())}
    assert made.label is not None
    true = made.label.astype(np.float64)[[by_key[int(k)] for k in kept.keys]]
    drifted = true + 3.0
    mask = np.random.default_rng(2).random(len(kept)) < 0.2
    read = LabelReader(fitted).read(report, Labelled(kept, np.where(mask, drifted, np.nan), len(kept)))
    actual = float(np.abs(kept.rows().prediction - drifted).mean())
    assert read.labels is not None
    seen, blind = read.labels.estimates["mae"].value, report.estimates["mae"].value
    assert seen is not None
    assert blind is not None
    assert abs(seen - actual) < 0.2 < abs(blind - actual)


def comparison(start: int, value: float, realized: float, half: float = 0.03) -> Comparison:
    """Return one window's comparison of accuracy."""
    return Comparison(
        start,
        start + 1,
        "accuracy",
        300,
        0.9,
        value,
        value - half,
        value + half,
        realized,
        realized,
        realized,
    )


def test_a_bad_track_record_offers_recalibration() -> None:
    """Intervals that miss and a bias are told in words with what to do; a good or a short record asks for nothing."""
    rng = np.random.default_rng(0)
    good = [comparison(i, 0.88, 0.88 + float(rng.normal(0, 0.015))) for i in range(40)]
    bad = [comparison(i, 0.88, 0.80 + float(rng.normal(0, 0.015))) for i in range(40)]
    (fine,), (poor,), (short,) = track_records(good), track_records(bad), track_records(bad[:5])
    assert fine.coverage > 0.85
    assert fine.advice == short.advice == ()
    assert poor.coverage < 0.1
    assert poor.bias == pytest.approx(0.08, abs=0.01)
    assert [text.split(" ")[0] for text in poor.advice] == ["intervals", "accuracy", "recalibrate:"]


def test_the_truths_own_error_is_allowed_for() -> None:
    """A realised value from few labels is not held against an interval that its own error reaches."""
    sure = comparison(0, 0.88, 0.83)
    assert sure.covered is False
    assert replace(sure, realized_lower=0.76, realized_upper=0.90).covered is True


def test_the_loan_schema_names_its_id() -> None:
    """Kept samples of events with ids carry them, so that people can find the rows."""
    schema = loan_schema()
    table = loan_rows(50).append_column("event_id", [[f"e{i}" for i in range(50)]])
    batch = normalise(
        table.drop_columns(["y_true"]), replace(schema, timestamp=None), Origin.file("w", 50)
    ).batch
    kept = KeptSample.of(batch.table, schema, lambda rows: np.full((len(rows), 2), 0.5))
    assert kept.ids == [f"e{i}" for i in range(50)]
