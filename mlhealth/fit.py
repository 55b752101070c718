"""`fit`: labelled reference rows (and a scorer, where there is one) → the baseline everything else is judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pyarrow as pa

from mlhealth.baseline.files import seal
from mlhealth.baseline.record import Baseline, FittedState, Null
from mlhealth.budget.residuals import residual_nulls
from mlhealth.clock import Clock, SystemClock
from mlhealth.detectors import fit_nulls
from mlhealth.detectors.sample_nulls import fit_sample_nulls
from mlhealth.errors import ConfigError, DataError
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.metrics import default_metrics, metric_of, reference_metrics
from mlhealth.estimators.registry import estimator_named, estimators
from mlhealth.estimators.rows import Rows, Scorer, rows_from_table
from mlhealth.events.batch import ID, LABEL, TIME, WEIGHT, EventBatch
from mlhealth.events.normalise import Normalised, Origin, normalise
from mlhealth.objective import Objective
from mlhealth.profile.layout import layout_of
from mlhealth.profile.sampling import bottom_k
from mlhealth.profile.weighing import staying
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.reference_checks import check_scorer, reference_notes
from mlhealth.schema.file import SchemaFile, complete
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.scorers.forgiving import REFUSED, ForgivingScorer
from mlhealth.threads import single_threaded

MIN_ROWS = 500
"""Fewer labelled reference rows than this say too little to fit anything."""
KEPT_ROWS = 20_000
"""Labelled rows kept in the baseline at most."""
PREFERRED = ("mpp", "mpp_row", "cbpe", "dle")
"""Methods in the order in which the first one that was fitted answers, unless the user names another."""
LIBRARIES = ("mlhealth", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")

Progress = Callable[[str, float], None]
"""Is told what is being done, and the fraction (0 to 1) already done."""


def fit(
    reference: pa.Table,
    schema: SchemaFile | ModelSchema,
    *,
    train: pa.Table | None = None,
    scorer: Scorer | None = None,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    methods: Sequence[str] | None = None,
    clock: Clock | None = None,
    progress: Progress | None = None,
    name: str = "the reference data",
) -> Baseline:
    """Return the baseline of a model: everything that is normal, learned from labelled `reference` rows.

    `train`: rows the model was trained on, for estimators that may learn from more than the reference.
    `scorer`: asks the deployed model about made-up rows. `metrics`: what to estimate, the primary one first;
    default all that the outputs allow. `methods`: estimators to fit. `name`: what messages call the reference.
    Raises ConfigError or DataError where the reference does not fit the schema or is too small.
    """
    tell = progress or _silent
    tell("reading the reference rows", 0.0)
    completed, notes = _complete(schema, reference)
    labelled = _labelled(reference, completed, name)
    _check_reference(labelled, completed, name)
    rows = rows_from_table(labelled.batch.table, completed)
    names = tuple(metrics) if metrics else default_metrics(completed)
    for metric in names:
        metric_of(metric, completed)
    notes += [*_rejected(labelled, "reference"), *reference_notes(rows)]
    if completed.weight in reference.column_names or completed.sampling_fraction in reference.column_names:
        notes.append(f"the reference is a sampled log: {len(rows)} of its rows stand for equally many events")
    asked = None if scorer is None else ForgivingScorer.of(scorer, rows)
    if asked is not None:
        notes += check_scorer(asked, rows, seed=seed)
    trained = None if train is None else _labelled(train, completed, "the training data")
    inputs = FitInputs(
        reference=rows,
        metrics=names,
        train=None if trained is None else rows_from_table(trained.batch.table, completed),
        scorer=asked,
        seed=seed,
    )
    fitted = _fit_estimators(inputs, methods, tell, notes)
    if asked is not None and asked.refused:
        notes.append(REFUSED)
    return replace(
        _assemble(labelled.batch, inputs, fitted, tell),
        created=(clock or SystemClock()).now(),
        versions={library: version(library) for library in LIBRARIES},
        notes=tuple(notes),
    )


def default_method(fitted: Mapping[str, FittedState]) -> str:
    """Return the method that answers unless the user names another."""
    return next((name for name in PREFERRED if name in fitted), next(iter(fitted)))


def _assemble(
    batch: EventBatch,
    inputs: FitInputs,
    fitted: Mapping[str, FittedState],
    tell: Progress,
) -> Baseline:
    tell("profiling the reference rows", 0.75)
    layout = layout_of(batch)
    profile = WindowProfile.of(batch, layout)
    tell("replaying reference windows", 0.8)
    nulls = fit_nulls(profile, np.random.default_rng(inputs.seed), batch=batch)
    with single_threaded():
        nulls |= fit_sample_nulls(profile, np.random.default_rng([inputs.seed, 3]), batch=batch)
    nulls |= _budget_nulls(inputs, fitted)
    known = reference_metrics(inputs.reference, inputs.metrics)
    tell("sealing", 0.98)
    return seal(
        Baseline(
            schema=batch.schema,
            layout=layout,
            reference=profile,
            rows=bottom_k(batch.table, KEPT_ROWS),
            metrics=known,
            primary=inputs.metrics[0],
            estimators=fitted,
            nulls=nulls,
            mode=_mode(inputs),
            seed=inputs.seed,
        )
    )


def _budget_nulls(inputs: FitInputs, fitted: Mapping[str, FittedState]) -> dict[tuple[str, str], Null]:
    """Return how the estimates of the method that will answer spread over the reference's own windows."""
    schema = inputs.reference.schema
    method = default_method(fitted)
    estimator = estimator_named(method, schema.task).from_state(fitted[method])
    objectives = [Objective.of(metric, schema) for metric in inputs.metrics]
    with single_threaded():
        return residual_nulls(estimator, inputs.reference, objectives, np.random.default_rng(inputs.seed))


def _mode(inputs: FitInputs) -> str:
    if inputs.scorer is None:
        return "reference only"
    return "full" if inputs.train is not None else "fit-time scorer"


def _silent(_: str, __: float) -> None:
    return None


def _complete(schema: SchemaFile | ModelSchema, reference: pa.Table) -> tuple[ModelSchema, list[str]]:
    if isinstance(schema, ModelSchema):
        return schema, []
    if schema.columns.label is None:
        raise ConfigError(
            "key 'columns.label' is missing: a baseline is fitted on rows whose true label is known"
        )
    completed = complete(schema, reference)
    return completed.schema, list(completed.warnings)


def _labelled(table: pa.Table, schema: ModelSchema, name: str) -> Normalised:
    """Return the rows that have a label, in order of time; of a sampled log, as many as all weigh the same."""
    if schema.label is None or schema.label not in table.column_names:
        raise DataError(f"{name}: there is no label column {schema.label!r} (key 'columns.label')")
    found = normalise(table, schema, Origin.file(name, table.num_rows), labels=True)
    label = found.batch.array(LABEL)
    known = label.astype(np.float64) >= 0 if schema.is_classification else np.isfinite(label)
    order = np.flatnonzero(known & staying(found.batch.table))
    order = order[np.argsort(found.batch.array(TIME)[order], kind="stable")]
    rows = found.batch.take(order)
    # a baseline has no use for ids, which may name people, nor for weights: rows that stay all weigh the same
    unused = [name for name in (ID, WEIGHT) if name in rows.table.column_names]
    return Normalised(
        EventBatch(schema, rows.table.drop_columns(unused)), found.rejections, found.kept[order]
    )


def _check_reference(found: Normalised, schema: ModelSchema, name: str) -> None:
    rows = found.batch.rows
    if rows < MIN_ROWS:
        reasons = Counter(rejection.reason for rejection in found.rejections).most_common(1)
        why = f"; {reasons[0][1]} rows were left out because of {reasons[0][0]}" if reasons else ""
        raise DataError(f"{name}: has {rows} usable rows with a label, at least {MIN_ROWS} are needed{why}")
    if schema.is_classification and len(np.unique(found.batch.array(LABEL))) < 2:
        raise DataError(
            f"{name}: label {schema.label!r} has one value only; rows of two classes or more are needed"
        )


def _rejected(found: Normalised, name: str) -> list[str]:
    reasons = Counter(rejection.reason for rejection in found.rejections)
    return [f"{count} {name} rows were left out: {reason}" for reason, count in reasons.most_common(5)]


def _fit_estimators(
    inputs: FitInputs, methods: Sequence[str] | None, tell: Progress, notes: list[str]
) -> dict[str, FittedState]:
    task = inputs.reference.schema.task
    chosen = list(methods) if methods else _default_methods(inputs.reference)
    fitted: dict[str, FittedState] = {}
    for i, name in enumerate(chosen):
        tell(f"fitting {name}", 0.05 + 0.7 * i / len(chosen))
        try:
            with single_threaded():
                fitted[name] = estimator_named(name, task).fit(inputs).state()
        except DataError as error:
            if methods:
                raise
            notes.append(f"method {name} could not be fitted: {error}")
            if name == "mpp":
                chosen.append("mpp_row")
    if not fitted:
        raise DataError("no estimation method could be fitted: " + "; ".join(notes[-len(chosen) :]))
    return fitted


def _default_methods(reference: Rows) -> list[str]:
    known = {name for name, cls in estimators().items() if reference.schema.task in cls.tasks}
    best = "mpp" if "mpp" in known else "mpp_row"
    confidence = "cbpe" if reference.schema.is_classification else "dle"
    if reference.schema.is_classification and reference.scores is None:
        known.discard("cbpe")
    return [name for name in (best, confidence) if name in known]
