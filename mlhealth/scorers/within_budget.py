"""How much of the deployed model's time a window may take: rows and seconds, after which a stand-in answers.

The deployed model has its own work to do. A scorer that hangs is given up in time, and not asked again before it has
answered what it was asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from mlhealth.errors import ScorerUnavailable
from mlhealth.estimators.rows import Scorer
from mlhealth.scorers.opening import Answer


@dataclass(frozen=True)
class ScorerBudget:
    """What one window may ask: `rows` altogether, and `seconds` of waiting altogether."""

    rows: int = 20_000
    seconds: float = 30.0


@dataclass
class ScorerWithinBudget:
    """Asks `scorer` for one window after the other (`next_window`), each within `budget`.

    Raises ScorerUnavailable where the budget does not hold what is asked, or the answer does not come in time.
    """

    scorer: Scorer
    budget: ScorerBudget = field(default_factory=ScorerBudget)
    clock: Callable[[], float] = time.monotonic
    _rows: int = field(init=False)
    _seconds: float = field(init=False)
    _late: threading.Thread | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Begin with a full budget."""
        self.next_window()

    def next_window(self) -> ScorerWithinBudget:
        """Return this with a full budget."""
        self._rows, self._seconds = self.budget.rows, self.budget.seconds
        return self

    def __call__(self, features: pd.DataFrame) -> Answer:
        """Return (prediction, scores) for rows of features."""
        if len(features) > self._rows:
            raise ScorerUnavailable(
                f"a window may ask the scorer about {self.budget.rows:,} rows, {self._rows:,} are left and "
                f"{len(features):,} are needed"
            )
        if self._late is not None and self._late.is_alive():
            raise ScorerUnavailable("the scorer has not answered an earlier question yet")
        self._rows -= len(features)
        start = self.clock()
        answer = self._answered(features)
        self._seconds -= self.clock() - start
        return answer

    def _answered(self, features: pd.DataFrame) -> Answer:
        found: list[Answer] = []
        failed: list[Exception] = []

        def ask() -> None:
            try:
                found.append(self.scorer(features))
            except Exception as error:  # noqa: BLE001 - handed on to whoever asked
                failed.append(error)

        thread = threading.Thread(target=ask, name="mlhealth-scorer", daemon=True)
        thread.start()
        thread.join(max(self._seconds, 0.0))
        if failed:
            raise failed[0]
        if not found:
            self._late, self._seconds = thread, 0.0
            raise ScorerUnavailable(f"the scorer took longer than the {self.budget.seconds:g} s of a window")
        return found[0]
