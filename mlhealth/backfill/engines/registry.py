"""The engines by name."""

from __future__ import annotations

from importlib.util import find_spec

from mlhealth.backfill.engines.base import Engine
from mlhealth.backfill.engines.dask import DaskEngine
from mlhealth.backfill.engines.local import LocalEngine
from mlhealth.backfill.engines.ray import RayEngine
from mlhealth.backfill.engines.spark import SparkEngine
from mlhealth.errors import ConfigError

ENGINES: dict[str, type[Engine]] = {e.name: e for e in (LocalEngine, DaskEngine, RayEngine, SparkEngine)}


def engine(name: str, workers: int = 1, address: str | None = None) -> Engine:
    """Return an engine, not yet started; raises ConfigError where there is none or its package is not installed."""
    cls = ENGINES.get(name)
    if cls is None:
        raise ConfigError(f"there is no engine {name!r}; known are {', '.join(ENGINES)}")
    if cls.package and find_spec(cls.package) is None:
        raise ConfigError(f"engine {name} needs {cls.package}: pip install 'mlhealth[{name}]'")
    return cls(workers, address)
