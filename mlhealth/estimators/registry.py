"""Every estimation method by the name users write, found by reflection over this package."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache

import mlhealth.estimators as package
from mlhealth.errors import ConfigError
from mlhealth.estimators.base import Estimator
from mlhealth.schema.model_schema import Task


def _classes() -> Iterator[type[Estimator]]:
    for module in pkgutil.iter_modules(package.__path__):
        if module.name == "registry":
            continue
        for _, cls in inspect.getmembers(
            importlib.import_module(f"{package.__name__}.{module.name}"), inspect.isclass
        ):
            if issubclass(cls, Estimator) and not inspect.isabstract(cls):
                yield cls


@cache
def estimators() -> dict[str, type[Estimator]]:
    """Return every estimator class by its name, sorted."""
    found: dict[str, type[Estimator]] = {}
    for cls in _classes():
        if found.setdefault(cls.name, cls) is not cls:
            raise RuntimeError(f"two estimators are named {cls.name!r}: {found[cls.name]} and {cls}")
    return dict(sorted(found.items()))


def estimator_named(name: str, task: Task) -> type[Estimator]:
    """Return the estimator called `name`; raises ConfigError where none such can serve the task."""
    known = {n: cls for n, cls in estimators().items() if task in cls.tasks}
    if name not in known:
        raise ConfigError(f"method {name!r} does not exist for {task} models: use one of {', '.join(known)}")
    return known[name]


def __getattr__(attribute: str) -> dict[str, type[Estimator]]:
    if attribute == "ESTIMATORS":
        return estimators()
    raise AttributeError(attribute)
