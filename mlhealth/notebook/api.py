"""The Python API: data frames in, estimates out; `import mlhealth as mh` reaches it as `mh.fit` and `mh.Baseline`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa

from mlhealth.baseline import files as baseline_files
from mlhealth.baseline.record import Baseline as BaselineRecord
from mlhealth.clock import parse_duration
from mlhealth.config.strict_yaml import Document, validated
from mlhealth.errors import ConfigError, DataError
from mlhealth.estimators.rows import Rows, Scorer, rows_from_table
from mlhealth.events.normalise import Origin, normalise
from mlhealth.files.production import Cut, Production, production_of, reports
from mlhealth.fit import fit as fit_record
from mlhealth.handing_in import hand_in
from mlhealth.monitor import EvaluationSettings, Evaluator
from mlhealth.notebook.frames import Frame, to_table
from mlhealth.notebook.report import Report, grid
from mlhealth.schema.file import SchemaFile, complete, load_schema
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.scorers.calling import callable_scorer
from mlhealth.scorers.opening import open_scorer

SchemaLike = Mapping[str, Any] | SchemaFile | ModelSchema | str | Path
"""A model's schema: a mapping with the keys of `model.yaml`, the path of such a file, or a schema record."""
ScorerLike = str | Callable[[pd.DataFrame], Any]
"""The deployed model: a function such as `model.predict_proba`, or `file.py:function`, `model.onnx`, a URL."""


def fit(
    reference: Frame,
    schema: SchemaLike,
    *,
    train: Frame | None = None,
    scorer: ScorerLike | None = None,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
) -> Baseline:
    """Return the baseline of a model, learned from labelled `reference` rows that it was not trained on.

    `reference` and `train` (rows the model was trained on, which help) are pandas or polars frames, Arrow tables or
    paths. `scorer` asks the model itself about made-up rows, which makes the estimates of broken inputs much better.
    `metrics`: what to estimate, the primary one first; default all that the outputs allow. What a person should know
    about the data is warned of. Raises ConfigError or DataError where the reference does not fit the schema.
    """
    table = to_table(reference, "reference")
    spec = schema_of(schema)
    record = fit_record(
        table,
        spec,
        train=None if train is None else to_table(train, "train"),
        scorer=None if scorer is None else _scorer_of(scorer, *_logged(spec, table)),
        metrics=metrics,
        seed=seed,
        name="reference",
    )
    _warn(record.notes)
    return Baseline(record)


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline: what normal looked like, and the judge of every window; made by `fit` or `load`."""

    record: BaselineRecord

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Return the baseline in a folder; raises BaselineError where it is missing, damaged or altered."""
        return cls(baseline_files.load(Path(folder)))

    def save(self, folder: str | Path) -> None:
        """Write the baseline as a folder of open formats, as `mlhealth baseline fit` does."""
        baseline_files.save(self.record, Path(folder))

    def push(self, service: str, token: str | None = None, *, activate: bool = True) -> None:
        """Hand the baseline to the service at this address; raises DeliveryError, ConfigError where it refuses."""
        hand_in(self.record, service, token, activate=activate)

    def estimate(
        self,
        frame: Frame,
        *,
        window: str | timedelta | None = None,
        window_rows: int | None = None,
        scorer: ScorerLike | None = None,
        method: str | None = None,
        tolerance: float | None = None,
    ) -> Report:
        """Return how well the model did in each window of unlabelled rows.

        Windows are cut by event time (`window="1d"`) or by rows in order (`window_rows=2000`): give one.
        `scorer` asks the model again about windows that look suspicious. `method` and `tolerance` (how much loss of
        the primary metric counts as a drop) have defaults. Raises DataError where a needed column is missing.
        """
        if (window is None) == (window_rows is None):
            raise ConfigError("give one of window='1d' (event time) and window_rows=2000 (rows in order)")
        production = production_of(to_table(frame, "production"), self.record, "production")
        cut = Cut(window_rows, None if window is None else _micros(window))
        if window is not None and not production.timed:
            raise DataError(_untimed(self.record.schema))
        _warn(production.warnings)
        asked = None if scorer is None else _scorer_of(scorer, self.record.schema, self._rows())
        settings = EvaluationSettings(method=method, tolerance=tolerance, scorer=asked)
        return self._reported(production, Evaluator(self.record, settings), cut)

    def _reported(self, production: Production, evaluator: Evaluator, cut: Cut) -> Report:
        return Report(
            windows=tuple(reports(production, evaluator, cut)),
            primary=self.record.primary,
            timed=production.timed,
            by_rows=cut.rows is not None,
            notes=production.warnings,
        )

    def _rows(self) -> Rows:
        return rows_from_table(self.record.rows, self.record.schema)

    @property
    def hash(self) -> str:
        """The sha256 of all that can change a verdict; two baselines with one hash judge alike."""
        return self.record.hash

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the reference data, one sentence each."""
        return self.record.notes

    def metrics(self) -> pd.DataFrame:
        """Return the metrics of the reference rows: value, and its standard error from resampling them."""
        rows = [
            {"metric": name, "value": m.value, "standard_error": m.standard_error}
            for name, m in self.record.metrics.items()
        ]
        return pd.DataFrame(rows, columns=["metric", "value", "standard_error"])

    def __repr__(self) -> str:
        schema, metric = self.record.schema, self.record.primary
        value = f", {metric} {self.record.metrics[metric].value:.3f}" if metric in self.record.metrics else ""
        rows = f"{self.record.reference.rows:,} reference rows"
        return f"<Baseline {schema.model} version {schema.version}: {rows}{value}, {self.record.mode}>"

    def _repr_html_(self) -> str:
        return grid(repr(self)[1:-1], self.metrics(), self.notes)


def schema_of(schema: SchemaLike) -> SchemaFile | ModelSchema:
    """Return a schema in any of its forms as a record; raises ConfigError where it cannot be read."""
    if isinstance(schema, SchemaFile | ModelSchema):
        return schema
    if isinstance(schema, str | Path):
        return load_schema(Path(schema))
    return validated(Document("schema", dict(schema), {}), SchemaFile)


def _logged(spec: SchemaFile | ModelSchema, table: pa.Table) -> tuple[ModelSchema, Rows]:
    """Return the complete schema and the rows in it, from which a scorer's answers are read."""
    schema = complete(spec, table, name="schema").schema if isinstance(spec, SchemaFile) else spec
    found = normalise(table, schema, Origin.file("reference", table.num_rows))
    return schema, rows_from_table(found.batch.table, schema)


def _scorer_of(scorer: ScorerLike, schema: ModelSchema, rows: Rows) -> Scorer:
    return open_scorer(scorer, schema) if isinstance(scorer, str) else callable_scorer(scorer, schema, rows)


def _micros(window: str | timedelta) -> int:
    if isinstance(window, str):
        return parse_duration(window)
    try:
        micros = window // timedelta(microseconds=1)
    except TypeError:
        raise ConfigError(
            f"window is {window!r}; give a length of time such as '1d', or window_rows"
        ) from None
    if micros <= 0:
        raise ConfigError(f"window is {window}; it must be longer than nothing")
    return micros


def _untimed(schema: ModelSchema) -> str:
    name = schema.timestamp
    why = f"there is no column {name!r}" if name else "the schema has no columns.timestamp"
    return f"production: window= needs event times and {why}; use window_rows=2000"


def _warn(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        warnings.warn(sentence, UserWarning, stacklevel=3)
