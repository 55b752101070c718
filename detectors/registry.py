"""Every detector there is, found by reflection: a new file with a detector class in it is all that a new one needs."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache

import mlhealth.detectors
from mlhealth.detectors.base import Detector
from mlhealth.detectors.sample_base import SampleDetector


@cache
def detectors() -> tuple[Detector, ...]:
    """Return one instance of every detector of univariate counts, by name."""
    _import_all()
    found = (kind() for kind in Detector.__subclasses__() if not inspect.isabstract(kind))
    return tuple(sorted(found, key=lambda d: d.name))


@cache
def sample_detectors() -> tuple[SampleDetector, ...]:
    """Return one instance of every multivariate detector, by name."""
    _import_all()
    found = (kind() for kind in SampleDetector.__subclasses__() if not inspect.isabstract(kind))
    return tuple(sorted(found, key=lambda d: d.name))


def _import_all() -> None:
    for module in pkgutil.iter_modules(mlhealth.detectors.__path__):
        importlib.import_module(f"mlhealth.detectors.{module.name}")
