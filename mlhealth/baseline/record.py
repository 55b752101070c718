"""`Baseline`: what normal looked like, fitted once on labelled reference data; immutable and content-addressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.profile.window_profile import ProfileLayout, WindowProfile
from mlhealth.schema.model_schema import ModelSchema

FORMAT = 1
"""Version of the folder layout written by `mlhealth.baseline.files`."""


@dataclass(frozen=True)
class ReferenceMetric:
    """A metric of the reference rows, with its standard error from resampling them."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class Null:
    """How a detector's statistic behaves on windows of the reference itself.

    `rows`: (s,) window sizes, ascending. `quantiles`: (s, q) of the statistic at each size, at `levels` (q,).
    """

    rows: NDArray[np.int64]
    levels: NDArray[np.float64]
    quantiles: NDArray[np.float64]


@dataclass(frozen=True)
class FittedState:
    """A fitted model as data: JSON-able parameters, arrays and scikit-learn models, by name."""

    params: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """What normal looked like.

    `reference`: profile of all reference rows; its sample is what multivariate detectors compare with.
    `rows`: labelled reference rows kept for estimators and people (canonical table, with `__label`), bounded.
    `metrics`: reference value of each metric. `primary`: the metric of the health score.
    `estimators`: fitted estimators by method name. `nulls`: by (detector, feature or "").
    `mode`: `full`, `fit-time scorer` or `reference only`. `created` (micros) and `versions` are told, not hashed.
    `notes`: what a person should know about the reference data, one sentence each; told, not hashed.
    `hash`: sha256 over everything that can change a verdict.
    """

    schema: ModelSchema
    layout: ProfileLayout
    reference: WindowProfile
    rows: pa.Table
    metrics: Mapping[str, ReferenceMetric]
    primary: str
    estimators: Mapping[str, FittedState]
    nulls: Mapping[tuple[str, str], Null]
    mode: str
    seed: int
    hash: str = ""
    created: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BaselineView:
    """What people look at of a baseline: everything but its fitted models, fields as in `Baseline`."""

    schema: ModelSchema
    reference: WindowProfile
    rows: pa.Table
    metrics: Mapping[str, ReferenceMetric]
    primary: str
