"""One judged window."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Judged:
    """One window and what was said of it; losses are in units of the tolerance's kind.

    `group`: windows of one lasting treatment share it. `drop`: true, from the window's labels, with its standard error;
    `lasting`: what the window's treatment truly costs. `loss`: estimated, with its `deviation`. `suspects`: columns
    named as broken, first one first. `peers`: which peers' rules alarm.
    """

    table: str
    family: str
    kind: str
    columns: tuple[str, ...]
    group: int
    rows: int
    drop: float
    error: float
    lasting: float
    loss: float
    deviation: float
    score: float
    suspects: tuple[str, ...]
    kinds: tuple[str, ...]
    peers: dict[str, bool] = field(default_factory=dict)
