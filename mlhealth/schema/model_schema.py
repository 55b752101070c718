"""What a model's events look like: the complete, frozen schema that every record is read by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Task(StrEnum):
    """What the model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class FeatureType(StrEnum):
    """How a feature is profiled and compared."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"


class Storage(StrEnum):
    """The type of a column in the data as the model itself sees it (and a scorer gets it back)."""

    FLOAT = "float"
    INTEGER = "integer"
    STRING = "string"
    BOOLEAN = "boolean"


@dataclass(frozen=True)
class Feature:
    """One input of the model."""

    name: str
    type: FeatureType
    storage: Storage


@dataclass(frozen=True)
class ModelSchema:
    """The columns of one model version, with everything inferred that the user left out.

    `classes` are canonical texts (see `canonical_text`), the negative one first for a binary task, sorted for
    multiclass, empty for regression. `key` is the column that names an event together with its time, where events have
    no `id`. Of a sampled log, `weight` is the column of how many events a row stands for, `sampling_fraction` that of
    the chance that the row was logged. `scores` are column names in the order of `classes`; a binary task has one,
    the probability of the positive class; regression none, and so may be a classifier that logs labels only. `pii`:
    what becomes of columns that hold personal data before anything is kept, `hash` or `drop`, by name.
    """

    model: str
    version: str
    task: Task
    features: tuple[Feature, ...]
    prediction: str
    prediction_storage: Storage
    scores: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    label: str | None = None
    timestamp: str | None = None
    id: str | None = None
    segments: tuple[str, ...] = ()
    key: str | None = None
    pii: tuple[tuple[str, str], ...] = ()
    weight: str | None = None
    sampling_fraction: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns that are read of an event, the features first."""
        named = (self.prediction, self.timestamp, self.id, self.key, self.weight, self.sampling_fraction)
        parts = (*self.scores, *self.segments, *(name for name in named if name is not None))
        return tuple(dict.fromkeys([*self.feature_names, *parts]))

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the numeric features, in schema order."""
        return tuple(f.name for f in self.features if f.type is FeatureType.NUMERIC)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the categorical and boolean features, in schema order."""
        return tuple(f.name for f in self.features if f.type is not FeatureType.NUMERIC)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of all features, in schema order."""
        return tuple(f.name for f in self.features)

    @property
    def is_classification(self) -> bool:
        """Whether predictions are classes."""
        return self.task is not Task.REGRESSION


def canonical_text(value: object) -> str:
    """Return the one text by which a class or category is known, however it was typed.

    Numbers lose a fraction of zero, booleans become 1 and 0, so that `True`, `1`, `1.0` and `"1"` are one class.

    >>> [canonical_text(v) for v in (True, 1, 1.0, "1", 2.5, "a")]
    ['1', '1', '1', '1', '2.5', 'a']
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(int(value))
    number = float(value) if hasattr(value, "__float__") else None
    if number is not None and number.is_integer():
        return str(int(number))
    return str(number if number is not None else value)
