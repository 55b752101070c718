"""One judged window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Judged:
    """One window and what was said of it; losses are so that the tolerance is .05 (see `streams.Truth`).

    `group`: windows of one lasting treatment share it; of windows in order, their place in time. `drop`: true, from the
    window's labels, with its standard error; `lasting`: what the window's treatment truly costs. `loss`: estimated,
    with its `deviation`. `suspects`: columns named, in the order in which a reader of the reasons meets them. `kinds`:
    of the faults told of the column that was broken; `names`: those that are right. `peers`: which peers' rules alarm.
    """

    key: str
    table: str
    family: str
    kind: str
    columns: tuple[str, ...]
    group: float
    rows: int
    drop: float
    error: float
    lasting: float
    loss: float
    deviation: float
    score: float
    suspects: tuple[str, ...]
    kinds: tuple[str, ...]
    names: tuple[str, ...] = ()
    peers: Mapping[str, bool] = field(default_factory=dict)

    def to_data(self) -> dict[str, Any]:
        """Return the record as JSON-able data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the record that `to_data` gave."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**fields)
