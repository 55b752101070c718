"""Configuration of other monitors → a model's schema: NannyML's YAML, Evidently's column mapping.

Only what says which column plays which part is taken over; thresholds and metrics are fitted anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlhealth.errors import ConfigError
from mlhealth.schema.file import Columns, SchemaFile

_TASKS = {
    "classification_binary": "binary",
    "classification_multiclass": "multiclass",
    "regression": "regression",
    "classification": None,
}


def from_nannyml(data: Mapping[str, Any], model: str, version: str = "1") -> SchemaFile:
    """Return the schema that a `nannyml.yaml` describes; raises ConfigError.

    Its columns stand in the parameters of its calculators, in older releases in a `column_mapping`.

    >>> found = from_nannyml(
    ...     {"calculators": [{"type": "cbpe", "params": {"y_pred": "pred", "y_pred_proba": "proba", "y_true": "label",
    ...      "problem_type": "classification_binary", "timestamp_column_name": "at"}}]}, "loans")
    >>> found.columns.timestamp, found.task
    ('at', <Task.BINARY: 'binary'>)
    >>> found = from_nannyml(
    ...     {"column_mapping": {"features": ["age"], "y_pred": "pred", "y_pred_proba": "proba", "y_true": "label"},
    ...      "problem_type": "classification_binary"}, "loans")
    >>> found.columns.score, found.task
    ('proba', <Task.BINARY: 'binary'>)
    """
    mapping = data.get("column_mapping") if "column_mapping" in data else _calculators(data)
    if not isinstance(mapping, Mapping) or "y_pred" not in mapping:
        raise ConfigError(
            "nannyml: calculators, one of them with y_pred in its params, or a column_mapping with it"
        )
    columns = Columns(
        prediction=mapping["y_pred"],
        score=mapping.get("y_pred_proba"),
        label=mapping.get("y_true"),
        timestamp=mapping.get("timestamp_column_name", mapping.get("timestamp")),
        id=mapping.get("identifier"),
    )
    task = _TASKS.get(str(data.get("problem_type", mapping.get("problem_type"))))
    features = _features(mapping.get("treat_as_numerical"), mapping.get("treat_as_categorical"))
    return _schema(model, version, task, columns, features)


def _calculators(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the parameters of all enabled calculators say together; the first that says a thing is believed."""
    found: dict[str, Any] = {}
    calculators = data.get("calculators")
    for calculator in calculators if isinstance(calculators, list) else ():
        if isinstance(calculator, Mapping) and calculator.get("enabled", True) is not False:
            params = calculator.get("params")
            found = {**params, **found} if isinstance(params, Mapping) else found
    return found


def from_evidently(data: Mapping[str, Any], model: str, version: str = "1") -> SchemaFile:
    """Return the schema that an Evidently data definition (or older column mapping), as JSON, describes.

    Raises ConfigError where it names no prediction.
    """
    classification = _first(data.get("classification"))
    regression = _first(data.get("regression"))
    if classification or regression:
        return _definition(data, classification or regression, model, version, is_class=bool(classification))
    prediction = data.get("prediction")
    if not isinstance(prediction, str):
        raise ConfigError("evidently: a classification, a regression or a prediction column is needed")
    columns = Columns(
        prediction=prediction, label=data.get("target"), timestamp=data.get("datetime"), id=data.get("id")
    )
    features = _features(data.get("numerical_features"), data.get("categorical_features"))
    return _schema(model, version, _task(str(data.get("task"))), columns, features)


def _definition(
    data: Mapping[str, Any], role: Mapping[str, Any], model: str, version: str, *, is_class: bool
) -> SchemaFile:
    probabilities = role.get("prediction_probas")
    prediction = role.get("prediction_labels") if is_class else role.get("prediction")
    if prediction is None:
        raise ConfigError("evidently: the column of predicted labels (or values) is needed")
    score = probabilities[0] if isinstance(probabilities, list) and len(probabilities) == 1 else probabilities
    if isinstance(score, list):
        score = {name: name for name in score}
    columns = Columns(
        prediction=prediction,
        score=score,
        label=role.get("target"),
        timestamp=data.get("timestamp"),
        id=data.get("id_column"),
        positive_class=role.get("pos_label"),
    )
    task = "regression" if not is_class else ("multiclass" if isinstance(score, dict) else None)
    features = _features(data.get("numerical_columns"), data.get("categorical_columns"))
    features |= dict.fromkeys(
        [*(data.get("text_columns") or ()), *(data.get("datetime_columns") or ())], "ignore"
    )
    return _schema(model, version, task, columns, features)


def _schema(
    model: str, version: str, task: str | None, columns: Columns, features: Mapping[str, str]
) -> SchemaFile:
    named = {columns.prediction, columns.label, columns.timestamp, columns.id}
    named |= {columns.score} if isinstance(columns.score, str) else set(columns.score or ())
    kept = {name: kind for name, kind in features.items() if name not in named}
    return SchemaFile.model_validate(
        {
            "model": model,
            "version": version,
            "task": task,
            "columns": columns.model_dump(exclude_none=True),
            "features": kept,
        }
    )


def _first(found: object) -> Mapping[str, Any]:
    """Return the first of a list of roles, or the only one."""
    if isinstance(found, list):
        found = found[0] if found else None
    return found if isinstance(found, Mapping) else {}


def _features(numeric: object, categorical: object) -> dict[str, str]:
    found = dict.fromkeys(numeric if isinstance(numeric, list) else (), "numeric")
    return found | dict.fromkeys(categorical if isinstance(categorical, list) else (), "categorical")


def _task(name: str) -> str | None:
    return "regression" if name == "regression" else None


def to_yaml(schema: SchemaFile) -> str:
    """Return a schema as `model.yaml`."""
    import yaml

    data = schema.model_dump(mode="json", exclude_none=True)
    data = {key: value for key, value in data.items() if value not in ({}, [])}
    data["columns"] = {key: value for key, value in data["columns"].items() if value not in ({}, [])}
    data.get("features", {}).update(
        {name: "ignore" for name, kind in schema.features.items() if kind is None}
    )
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
