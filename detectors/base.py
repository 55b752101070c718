"""The contract of every drift and data-quality detector.

A detector is a pure function of two profiles: it compares a window with the reference and answers per feature (or
once for the window). Thresholds come from the baseline's nulls, fitted by replaying reference windows at the real
window size, unless a person pinned one. No detector raises on a constant, empty or all-missing column: it answers
with `statistic=None` and a note.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mlhealth.profile import Bins, ProfileLayout, WindowProfile


class Detector(ABC):
    """One method; stateless, so an instance is only its parameters."""

    name: ClassVar[str]
    """Name as in the literature, snake case, and as users write it."""

    @abstractmethod
    def applies(self, name: str, bins: Bins) -> bool:
        """Whether the detector can judge this column."""

    @abstractmethod
    def statistic(self, reference: WindowProfile, window: WindowProfile, name: str) -> float | None:
        """Return how far column `name` of the window lies from the reference; larger is farther; None if it can't."""

    def p_value(self, reference: WindowProfile, window: WindowProfile, name: str) -> float | None:
        """Return the probability of such a statistic without drift, where theory has one."""
        return None


def columns(layout: ProfileLayout) -> tuple[str, ...]:
    """Return the names a detector may be asked about: every feature, then the prediction."""
    return tuple(name for name, _ in layout.columns)
