"""Other monitors' configuration becomes a schema that fits data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlhealth.cli import app
from mlhealth.errors import ConfigError
from mlhealth.schema.file import complete, load_schema
from mlhealth.schema.importers import from_evidently, from_nannyml
from mlhealth.schema.model_schema import FeatureType, Task
from tests.loans import loan_table

NANNYML_OLD = """\
input:
  reference_data: {path: ref.parquet}
  analysis_data: {path: ana.parquet}
column_mapping:
  features: [income, debt, region, owner]
  timestamp: ts
  y_pred: y_pred
  y_pred_proba: y_score
  y_true: y_true
problem_type: classification_binary
chunker: {chunk_size: 5000}
"""
NANNYML = """\
input:
  reference_data: {path: ref.parquet}
  analysis_data: {path: ana.parquet}
calculators:
  - type: univariate_drift
    params:
      column_names: [income, debt, region, owner]
      treat_as_categorical: [owner]
      timestamp_column_name: ts
      chunk_size: 5000
  - type: missing_values
    enabled: false
    params: {timestamp_column_name: elsewhere}
  - type: cbpe
    params:
      y_pred: y_pred
      y_pred_proba: y_score
      y_true: y_true
      timestamp_column_name: ts
      metrics: [roc_auc]
      problem_type: classification_binary
"""
"""As NannyML 0.13.1 reads it."""
EVIDENTLY = {
    "id_column": "event_id",
    "timestamp": "ts",
    "numerical_columns": ["income", "debt", "y_score"],
    "categorical_columns": ["region", "owner"],
    "classification": [
        {"target": "y_true", "prediction_labels": "y_pred", "prediction_probas": ["y_score"], "pos_label": 1}
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", [NANNYML, NANNYML_OLD], ids=["calculators", "column_mapping"])
def test_nannyml_yaml_becomes_a_schema(tmp_path: Path, text: str) -> None:
    """The command prints a `model.yaml` that is read back and completed from reference data."""
    (tmp_path / "nannyml.yaml").write_text(text)
    done = CliRunner().invoke(app, ["import", "nannyml", str(tmp_path / "nannyml.yaml"), "--model", "loans"])
    assert done.exit_code == 0, done.output
    (tmp_path / "model.yaml").write_text(done.output)
    table = loan_table(600).drop_columns(["event_id"])
    schema = complete(load_schema(tmp_path / "model.yaml"), table).schema
    assert (schema.task, schema.prediction, schema.scores) == (Task.BINARY, "y_pred", ("y_score",))
    assert schema.timestamp == "ts"
    assert set(schema.feature_names) == {"income", "debt", "region", "owner"}
    if text == NANNYML:
        assert {f.name: f.type for f in schema.features}["owner"] is FeatureType.CATEGORICAL


def test_evidently_data_definition_becomes_a_schema(tmp_path: Path) -> None:
    """Types, roles and the positive class are taken over; score and label are no features."""
    (tmp_path / "definition.json").write_text(json.dumps(EVIDENTLY))
    done = CliRunner().invoke(
        app, ["import", "evidently", str(tmp_path / "definition.json"), "--model", "loans"]
    )
    assert done.exit_code == 0, done.output
    (tmp_path / "model.yaml").write_text(done.output)
    schema = complete(load_schema(tmp_path / "model.yaml"), loan_table(600)).schema
    assert schema.classes[1] == "1"
    assert {f.name: f.type for f in schema.features}["owner"] is FeatureType.CATEGORICAL


def test_older_column_mappings_and_other_tasks() -> None:
    """Evidently's former form, probabilities per class and regression are understood."""
    old = from_evidently(
        {"target": "y", "prediction": "p", "numerical_features": ["a"], "task": "regression"}, "m"
    )
    assert (old.task, old.columns.label) == (Task.REGRESSION, "y")
    many = from_nannyml(
        {
            "column_mapping": {"y_pred": "p", "y_pred_proba": {"a": "pa", "b": "pb", "c": "pc"}},
            "problem_type": "classification_multiclass",
        },
        "m",
    )
    assert many.columns.score == {"a": "pa", "b": "pb", "c": "pc"}


def test_what_names_no_prediction_is_refused() -> None:
    """The message says what is missing."""
    with pytest.raises(ConfigError, match="y_pred"):
        from_nannyml({"problem_type": "regression"}, "m")
    with pytest.raises(ConfigError, match="prediction"):
        from_evidently({}, "m")
