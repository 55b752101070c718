"""The contract of every drift and data-quality detector.

A detector is a pure function of two sets of counts: it says how far each column of a window lies from the reference.
It judges all columns, and many windows, in one call of vector operations, and decides nothing: thresholds come from
the baseline's nulls (`nulls.py`), fitted on windows drawn from the reference at the real window size, unless a person
pinned one (`thresholds.py`). No detector raises on a constant, empty or all-missing column: it answers NaN there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlhealth.detectors.cells import CellLayout, Cells, Floats


class Detector(ABC):
    """One method; stateless. `numeric` and `categorical` say which columns it can judge."""

    name: ClassVar[str]
    """Name as in the literature, snake case, and as users write it."""
    numeric: ClassVar[bool] = True
    categorical: ClassVar[bool] = True
    missing: ClassVar[bool] = False
    """Whether it counts rows without a value too; else it rests on the present values alone."""
    floor: ClassVar[float] = 0.0
    """Statistics up to here are too small to matter, however many rows make them significant."""

    @abstractmethod
    def statistic(self, reference: Cells, window: Cells) -> Floats:
        """Return how far each column lies from the reference, (..., d); larger is farther; NaN where it can't tell.

        `window`, and with it `reference`, may have leading axes, which the result keeps. Never negative.
        """

    def effect(self, reference: Cells, window: Cells, excess: Floats) -> Floats:
        """Return a size that does not grow with the number of rows, (d,).

        `excess` is the statistic less its median without drift, at least 0; by default it is the size.
        """
        return excess

    def judges(self, layout: CellLayout) -> NDArray[np.bool_]:
        """Return which columns the detector can judge, (d,)."""
        return np.where(layout.numeric, self.numeric, self.categorical)
