"""Comparing a window with the same hour or weekday of the reference, so that the rhythm of the day is no drift."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
import pyarrow as pa

from mlhealth.baseline.record import Baseline
from mlhealth.clock import DAY, HOUR
from mlhealth.detectors.panel import Panel
from mlhealth.detectors.thresholds import Threshold
from mlhealth.errors import ConfigError
from mlhealth.events.batch import TIME, EventBatch
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import DetectorResult, FeatureQuality

FEWEST_ROWS = 200
"""Seasons with fewer reference rows are compared with the whole reference."""
EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""


class Season(StrEnum):
    """Which windows are alike: those of the same hour of the day, day of the week, or hour of the week (UTC)."""

    HOUR = "hour"
    WEEKDAY = "weekday"
    HOUR_OF_WEEK = "hour_of_week"

    def of(self, time: int) -> int:
        """Return the number of the season at a time in microseconds.

        >>> Season.HOUR.of(26 * HOUR), Season.WEEKDAY.of(0), Season.HOUR_OF_WEEK.of(0)
        (2, 3, 72)
        """
        hour = time // HOUR % 24
        weekday = (time // DAY + EPOCH_WEEKDAY) % 7
        if self is Season.HOUR:
            return int(hour)
        return int(weekday if self is Season.WEEKDAY else weekday * 24 + hour)


class SeasonalPanel:
    """A `Panel` for each season, of the reference rows kept in the baseline; made when a window first needs it.

    A window belongs to the season of its middle. Windows longer than a season are better judged by a plain `Panel`.
    """

    def __init__(
        self,
        baseline: Baseline,
        season: Season,
        thresholds: Mapping[tuple[str, str], Threshold] | None = None,
    ) -> None:
        if baseline.schema.timestamp is None:
            raise ConfigError(f"season: {season} needs event times, and the schema has no columns.timestamp")
        self._baseline = baseline
        self._season = season
        times = np.asarray(baseline.rows.column(TIME).to_numpy())
        self._numbers = np.array([season.of(int(time)) for time in times])
        self._thresholds = thresholds
        self._whole = Panel(baseline, thresholds)
        self._panels: dict[int, Panel] = {}

    def judge(self, window: WindowProfile) -> tuple[tuple[DetectorResult, ...], dict[str, FeatureQuality]]:
        """Return every detector's answers and the features' quality, as `Panel.judge` does."""
        return self.panel(window).judge(window)

    def panel(self, window: WindowProfile) -> Panel:
        """Return the panel that a window is judged by."""
        if window.first is None or window.last is None:
            return self._whole
        number = self._season.of((window.first + window.last) // 2)
        if number not in self._panels:
            self._panels[number] = self._made(number)
        return self._panels[number]

    def _made(self, number: int) -> Panel:
        mask = self._numbers == number
        if mask.sum() < FEWEST_ROWS:
            return self._whole
        rows = EventBatch(self._baseline.schema, self._baseline.rows.filter(pa.array(mask)))
        return Panel(
            self._baseline, self._thresholds, reference=WindowProfile.of(rows, self._baseline.layout)
        )
