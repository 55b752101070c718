"""Thresholds that a person pins in the configuration, in place of the fitted ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from mlhealth.detectors.cells import SCORE
from mlhealth.detectors.registry import detectors
from mlhealth.detectors.thresholds import Constant, Quantile, Sigmas, Threshold
from mlhealth.errors import ConfigError
from mlhealth.profile.window_profile import WindowProfile


class Pin(Protocol):
    """One pinned threshold as it is configured; one of the three numbers is given."""

    @property
    def detector(self) -> str:
        """Name of the detector."""

    @property
    def column(self) -> str | None:
        """Name of the column, None for all that the detector judges."""

    @property
    def constant(self) -> float | None:
        """The threshold itself."""

    @property
    def sigmas(self) -> float | None:
        """Standard deviations above the null's median."""

    @property
    def quantile(self) -> float | None:
        """A quantile of the null, 0 to 1."""


def pinned(pins: Sequence[Pin]) -> dict[tuple[str, str], Threshold]:
    """Return the thresholds by (detector, column), column "" for all; raises ConfigError for an unknown detector."""
    known = {detector.name for detector in detectors()}
    found: dict[tuple[str, str], Threshold] = {}
    for pin in pins:
        if pin.detector not in known:
            names = ", ".join(sorted(known))
            raise ConfigError(f"thresholds: there is no detector {pin.detector!r}; known are {names}")
        found[pin.detector, pin.column or ""] = _threshold(pin)
    return found


def check_pinned(thresholds: Mapping[tuple[str, str], Threshold], reference: WindowProfile) -> None:
    """Raise ConfigError where a threshold is pinned for a column that the model does not have."""
    known = {*(name for name, _ in reference.layout.columns), SCORE, ""}
    for detector, column in thresholds:
        if column not in known:
            raise ConfigError(f"thresholds: {detector}: the model has no column {column!r}")


def _threshold(pin: Pin) -> Threshold:
    if pin.constant is not None:
        return Constant(pin.constant)
    if pin.sigmas is not None:
        return Sigmas(pin.sigmas)
    return Quantile(pin.quantile or 0.0)
