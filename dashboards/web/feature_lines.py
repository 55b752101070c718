"""The features of a window, the one that needs a look first on top."""

from __future__ import annotations

from dataclasses import dataclass

from mlhealth.dashboards.heat_figures import ratio
from mlhealth.records import DetectorResult, FeatureQuality, WindowReport


@dataclass(frozen=True)
class FeatureLine:
    """One feature in one window: whether it drifted, and what was wrong with its values."""

    name: str
    drift: DetectorResult | None
    quality: FeatureQuality | None

    @property
    def rank(self) -> tuple[bool, float, str]:
        """Return the sort key: faults first, then the largest drift."""
        known = ratio(self.drift)
        return (
            not (self.quality and self.quality.faults),
            -(known if known is not None else -1.0),
            self.name,
        )


def feature_lines(report: WindowReport) -> tuple[FeatureLine, ...]:
    """Return every feature of a report, the one that needs a look first on top."""
    names = dict.fromkeys([*report.quality, *report.drift])
    lines = [FeatureLine(name, report.drift.get(name), report.quality.get(name)) for name in names]
    return tuple(sorted(lines, key=lambda line: line.rank))
