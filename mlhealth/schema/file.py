"""`model.yaml`: the schema as a user writes it, completed from the reference data to a `ModelSchema`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mlhealth.config.strict_yaml import read, validated
from mlhealth.errors import ConfigError, DataError
from mlhealth.events.text import distinct, is_number
from mlhealth.schema.column_types import doubts, infer_type, storage_of
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task, canonical_text

MAX_CLASSES = 100
"""More classes than this are taken for a mistake in the schema."""


def _as_text(value: object) -> object:
    return canonical_text(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]
"""Text for which YAML may hold a bare number or boolean, such as `version: 3` or `positive_class: true`."""


IGNORE = "ignore"


def _feature_type(value: object) -> object:
    if value in {IGNORE, *FeatureType}:
        return None if value == IGNORE else FeatureType(str(value))
    raise ValueError(f"{value!r} is not a type; write numeric, categorical, boolean or ignore")


FeatureTypeOrIgnore = Annotated[FeatureType | None, BeforeValidator(_feature_type)]


class Strict(BaseModel):
    """Frozen, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Columns(Strict):
    """Which column plays which part."""

    prediction: Text
    score: Text | dict[Text, Text] | None = None
    label: Text | None = None
    timestamp: Text | None = None
    id: Text | None = None
    key: Text | None = None
    weight: Text | None = None
    sampling_fraction: Text | None = None
    positive_class: Text | None = None
    segments: tuple[Text, ...] = ()


class SchemaFile(Strict):
    """`model.yaml` as written; what it leaves out is inferred from the reference data.

    `features` overrides the inferred type of the columns it names; `ignore` leaves a column out. Every column that
    plays no part in `columns` and is not ignored is a feature. `pii`: columns that hold personal data; `hash` keeps a
    keyed digest of each value in its place (the column is then categorical), `drop` nothing.
    """

    model: Text
    version: Text = "1"
    task: Task | None = None
    columns: Columns
    features: dict[Text, FeatureTypeOrIgnore] = Field(default_factory=dict)
    pii: dict[Text, Literal["hash", "drop"]] = Field(default_factory=dict)


@dataclass(frozen=True)
class CompletedSchema:
    """The complete schema, and what a person should know about how it was completed."""

    schema: ModelSchema
    warnings: tuple[str, ...] = ()


def load_schema(path: Path) -> SchemaFile:
    """Return the schema file at `path`; raises ConfigError in one line naming file, line and key."""
    return validated(read(path), SchemaFile)


def complete(spec: SchemaFile, reference: pa.Table, *, name: str = "model.yaml") -> CompletedSchema:
    """Return `spec` with everything it left out inferred from `reference`.

    `name` is how messages call the schema file. Raises ConfigError where the two do not fit.
    """
    _check_columns(spec, reference, name)
    _check_key(spec.columns, name)
    if spec.columns.weight is not None and spec.columns.sampling_fraction is not None:
        raise ConfigError(
            f"{name}: key 'columns.weight' says what 'columns.sampling_fraction' says; remove one of them"
        )
    _check_personal(spec, name)
    task = spec.task or _infer_task(spec, reference)
    features, warnings = _features(spec, reference)
    if not features:
        raise ConfigError(f"{name}: no column of the reference data is left to be a feature")
    classes, scores = ((), ()) if task is Task.REGRESSION else _classes(spec, task, reference, name)
    columns = spec.columns
    if task is Task.REGRESSION:
        _check_regression(spec, reference, name)
    return CompletedSchema(
        ModelSchema(
            model=spec.model,
            version=spec.version,
            task=task,
            features=features,
            prediction=columns.prediction,
            prediction_storage=storage_of(reference.schema.field(columns.prediction).type) or Storage.STRING,
            scores=scores,
            classes=classes,
            label=columns.label,
            timestamp=columns.timestamp,
            id=columns.id,
            key=columns.key,
            weight=columns.weight,
            sampling_fraction=columns.sampling_fraction,
            segments=columns.segments,
            pii=tuple(sorted(spec.pii.items())),
        ),
        tuple(warnings),
    )


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest of `known`, or nothing.

    >>> suggestion("lable", ["label", "model"])
    "; did you mean 'label'?"
    """
    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _roles(columns: Columns) -> dict[str, str]:
    """Return the key in the file by column name, of every column that has a part to play."""
    named = {
        "prediction": columns.prediction,
        "label": columns.label,
        "timestamp": columns.timestamp,
        "id": columns.id,
        "key": columns.key,
        "weight": columns.weight,
        "sampling_fraction": columns.sampling_fraction,
    }
    roles = {column: f"columns.{key}" for key, column in named.items() if column is not None}
    if isinstance(columns.score, str):
        roles[columns.score] = "columns.score"
    elif columns.score:
        roles |= {column: f"columns.score.{key}" for key, column in columns.score.items()}
    return roles


def _check_columns(spec: SchemaFile, reference: pa.Table, name: str) -> None:
    present = reference.column_names
    columns = spec.columns
    optional = {columns.timestamp, columns.id, columns.key, columns.weight, columns.sampling_fraction}
    wanted = {c: key for c, key in _roles(spec.columns).items() if c not in optional}
    wanted |= dict.fromkeys(spec.columns.segments, "columns.segments") | {
        c: f"features.{c}" for c in spec.features
    }
    for column, key in wanted.items():
        if column not in present:
            raise ConfigError(
                f"{name}: key {key!r} names column {column!r}, which the reference data has not"
                + suggestion(column, present)
            )
    for column in spec.features:
        if column in _roles(spec.columns):
            raise ConfigError(
                f"{name}: key 'features.{column}' names the column of {_roles(spec.columns)[column]!r}"
            )


def _check_key(columns: Columns, name: str) -> None:
    if columns.key is None:
        return
    if columns.id is not None:
        raise ConfigError(f"{name}: key 'columns.key' has no meaning beside 'columns.id'; remove one of them")
    if columns.timestamp is None:
        raise ConfigError(
            f"{name}: key 'columns.key' names an event by its time too; name 'columns.timestamp'"
        )


def _check_personal(spec: SchemaFile, name: str) -> None:
    for column, what in spec.pii.items():
        part = _roles(spec.columns).get(column) or ("columns.key" if column == spec.columns.key else None)
        if part is not None:
            raise ConfigError(
                f"{name}: key 'pii.{column}' names the column of {part!r}, which cannot be hidden"
            )
        if what == "drop" and column in spec.columns.segments:
            raise ConfigError(f"{name}: key 'pii.{column}': a segment column can be hashed, not dropped")


def _infer_task(spec: SchemaFile, reference: pa.Table) -> Task:
    if isinstance(spec.columns.score, dict) and len(spec.columns.score) > 2:
        return Task.MULTICLASS
    if spec.columns.score is not None or spec.columns.positive_class is not None:
        return Task.BINARY
    values = distinct(reference.column(spec.columns.label or spec.columns.prediction), limit=20)
    if values is None:
        return Task.REGRESSION
    return Task.BINARY if len(values) <= 2 else Task.MULTICLASS


def _features(spec: SchemaFile, reference: pa.Table) -> tuple[tuple[Feature, ...], list[str]]:
    roles = _roles(spec.columns)
    found: list[Feature] = []
    warnings: list[str] = []
    for column in reference.column_names:
        if column in roles or column.startswith("__") or column in spec.pii:
            continue
        kind = infer_type(reference.column(column))
        if column in spec.features:
            kind = spec.features[column]
        elif kind is None:
            warnings.append(
                f"column {column!r} is of type {reference.schema.field(column).type} and is left out"
            )
        elif column in spec.columns.segments and kind is FeatureType.NUMERIC:
            kind = FeatureType.CATEGORICAL
        elif kind is FeatureType.CATEGORICAL:
            warnings += doubts(column, reference.column(column))
        if kind is not None:
            stored = storage_of(reference.schema.field(column).type)
            if stored is None:
                raise DataError(
                    f"column {column!r} is of type {reference.schema.field(column).type}; it cannot be {kind}"
                )
            found.append(Feature(column, kind, stored))
    hidden = [column for column in reference.column_names if spec.pii.get(column) == "hash"]
    found += [Feature(column, FeatureType.CATEGORICAL, Storage.STRING) for column in hidden]
    return tuple(found), warnings


def _classes(
    spec: SchemaFile, task: Task, reference: pa.Table, name: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    columns = spec.columns
    sources = [columns.prediction] + ([columns.label] if columns.label else [])
    seen: set[str] = set()
    for column in sources:
        values = distinct(reference.column(column), limit=MAX_CLASSES)
        if values is None:
            raise ConfigError(
                f"{name}: column {column!r} has more than {MAX_CLASSES} values; "
                "write 'task: regression' if it is a number"
            )
        seen |= set(values)
    return _binary(spec, seen, name) if task is Task.BINARY else _multiclass(spec, seen, name)


def _binary(spec: SchemaFile, seen: set[str], name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    score = spec.columns.score
    named = set(score) if isinstance(score, dict) else set()
    values = sorted(seen | named)
    if len(values) != 2:
        few = ", ".join(values[:5])
        raise ConfigError(
            f"{name}: a binary task has 2 classes, the reference data has {len(values)} ({few})"
            + (
                "; a baseline needs rows of both"
                if len(values) < 2
                else "; write 'task: multiclass' or 'task: regression'"
            )
        )
    positive = spec.columns.positive_class or _likely_positive(values)
    if positive not in values:
        raise ConfigError(
            f"{name}: key 'columns.positive_class' is {positive!r}, but the classes are {values[0]!r} and {values[1]!r}"
        )
    negative = next(v for v in values if v != positive)
    if isinstance(score, dict):
        if positive not in score:
            raise ConfigError(
                f"{name}: key 'columns.score' has no column for the positive class {positive!r}"
            )
        score = score[positive]
    return (negative, positive), (score,) if score else ()


def _likely_positive(values: list[str]) -> str:
    likely = ("1", "true", "True", "yes", "Yes", "y", "Y", "positive", "pos")
    return next((v for v in likely if v in values), values[-1])


def _multiclass(spec: SchemaFile, seen: set[str], name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    score = spec.columns.score
    if isinstance(score, str):
        raise ConfigError(
            f"{name}: key 'columns.score' of a multiclass task must give a column for each class"
        )
    classes = tuple(sorted(seen | set(score or ())))
    if len(classes) < 2:
        raise ConfigError(
            f"{name}: a multiclass task needs 2 classes or more, the reference data has {len(classes)}"
        )
    missing = [c for c in classes if score and c not in score]
    if missing:
        raise ConfigError(
            f"{name}: key 'columns.score' has no column for class {missing[0]!r} of the reference data"
        )
    return classes, tuple(score[c] for c in classes) if score else ()


def _check_regression(spec: SchemaFile, reference: pa.Table, name: str) -> None:
    if spec.columns.score is not None:
        raise ConfigError(f"{name}: key 'columns.score' has no meaning for a regression; remove it")
    for key in ("prediction", "label"):
        column = getattr(spec.columns, key)
        if column is not None and not is_number(reference.column(column).type):
            raise ConfigError(f"{name}: key 'columns.{key}' names column {column!r}, which holds no numbers")
