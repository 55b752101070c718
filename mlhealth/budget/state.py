"""What the false-alarm budget carries from window to window, of each segment of a model version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mlhealth.series import SeriesState


@dataclass(frozen=True)
class Tally:
    """Evidence gathered against one metric, and whether its page is open."""

    evidence: float = 0.0
    incident: bool = False

    def after(self, gain: float | None, limit: float) -> Self:
        """Return the tally after one more window; None is a window that says nothing.

        A page opens where the evidence reaches the limit, and stays open until all of it has been taken back.
        """
        if gain is None:
            return self
        total = min(max(self.evidence + gain, 0.0), limit)
        return type(self)(total, total > 0.0 if self.incident else total >= limit)

    def to_data(self) -> dict[str, Any]:
        """Return the tally as JSON-able data."""
        return {"evidence": self.evidence, "incident": self.incident}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the tally that `to_data` gave."""
        return cls(float(data.get("evidence", 0.0)), bool(data.get("incident", False)))


@dataclass(frozen=True)
class BudgetState:
    """The state before a window.

    `primary`: of the metric of the health score; `others`: of further ones, by name. `windows`: how many were seen.
    `end`: of the last of them. `series`: what is remembered of the windows' statistics. `onsets`: since when each
    column at fault has been.
    """

    primary: Tally = Tally()
    windows: int = 0
    end: int | None = None
    others: Mapping[str, Tally] = field(default_factory=dict)
    series: SeriesState = field(default_factory=SeriesState)
    onsets: Mapping[str, int] = field(default_factory=dict)

    def to_data(self) -> dict[str, Any]:
        """Return the state as JSON-able data."""
        return {
            **self.primary.to_data(),
            "windows": self.windows,
            "end": self.end,
            "others": {metric: tally.to_data() for metric, tally in sorted(self.others.items())},
            "series": self.series.to_data(),
            "onsets": dict(self.onsets),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any] | None) -> Self:
        """Return the state that `to_data` gave; None is the state before the first window."""
        if not data:
            return cls()
        others = {metric: Tally.from_data(tally) for metric, tally in (data.get("others") or {}).items()}
        return cls(
            Tally.from_data(data),
            int(data.get("windows", 0)),
            data.get("end"),
            others,
            SeriesState.from_data(data.get("series")),
            {str(name): int(start) for name, start in (data.get("onsets") or {}).items()},
        )
