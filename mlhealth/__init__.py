"""Label-free health monitoring for deployed models.

import mlhealth as mh

baseline = mh.fit(reference, "model.yaml", scorer=model.predict_proba)
report = baseline.estimate(production, window="1d")
report.to_df()
mh.plot(report)
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlhealth.errors import MlhealthError
    from mlhealth.notebook.api import Baseline, fit
    from mlhealth.notebook.report import Report, plot

    __version__: str

__all__ = ["Baseline", "MlhealthError", "Report", "__version__", "fit", "plot"]

_HOMES = {
    "Baseline": "mlhealth.notebook.api",
    "MlhealthError": "mlhealth.errors",
    "Report": "mlhealth.notebook.report",
    "fit": "mlhealth.notebook.api",
    "plot": "mlhealth.notebook.report",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that `import mlhealth` costs nothing."""
    if name == "__version__":
        from importlib.metadata import version

        return version("mlhealth")
    if name not in _HOMES:
        raise AttributeError(f"module 'mlhealth' has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Tell the public names, loaded or not."""
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps `mlhealth.fit` the function: importing the module of that name would bind the module over it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
