"""The generated year: a calm quarter, a harmless campaign, two broken inputs, a recession, a retraining that heals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from mlhealth.clock import DAY, from_iso
from mlhealth.demo import loans
from mlhealth.demo.story import TIME, Chapter, Slice, Story, Verdict
from mlhealth.schema.model_schema import Task

YEAR_START = from_iso("2025-01-01T00:00:00Z")
ROWS_PER_DAY = 500
NEW_DEFAULT_RATE = 0.45

World = Callable[[np.random.Generator, int], pd.DataFrame]


def campaign(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return the applications of a month with a campaign for young people."""
    return loans.applications(rng, rows, young=0.5)


def amount_in_cents(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return applications whose amount an upstream release sends in cents."""
    frame = loans.applications(rng, rows)
    return frame.assign(amount=frame["amount"] * 100)


def bureau_down(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return applications that lost their bureau score on the way."""
    return loans.applications(rng, rows).assign(bureau_score=np.nan)


def recession(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return applications of which many more will default: the label mix has moved."""
    return loans.with_default_rate(loans.applications(rng, rows * 8), NEW_DEFAULT_RATE, rng, rows)


Plan = tuple[tuple[Chapter, int, World], ...]
"""Chapters, the days each lasts, and how its rows are drawn."""

CHAPTERS: Plan = (
    (Chapter("calm first quarter", Verdict.CALM), 90, loans.applications),
    (Chapter("campaign for young applicants", Verdict.HARMLESS), 30, campaign),
    (Chapter("calm spring", Verdict.CALM), 17, loans.applications),
    (Chapter("amount arrives in cents", Verdict.HARM), 7, amount_in_cents),
    (Chapter("calm, unit mended", Verdict.CALM), 42, loans.applications),
    (Chapter("bureau score vanishes", Verdict.HARM), 14, bureau_down),
    (Chapter("calm, bureau back", Verdict.CALM), 49, loans.applications),
    (Chapter("recession: many more defaults", Verdict.HARM), 35, recession),
    (Chapter("retrained on the new mix", Verdict.HEALED, version="2"), 81, recession),
)


def loan_year(rng: np.random.Generator, rows_per_day: int = ROWS_PER_DAY, plan: Plan = CHAPTERS) -> Story:
    """Return the year as a story; its slices are drawn as they are read."""
    return Story(
        model="loan-default",
        task=Task.BINARY,
        target=loans.TARGET,
        features=loans.FEATURES,
        train=loans.applications(rng, 12_000),
        reference=_timed(loans.applications(rng, 6_000), YEAR_START - 12 * DAY, 12 * DAY),
        slices=_days(rng, rows_per_day, plan),
        count=sum(days for _, days, _ in plan),
        window=DAY,
    )


def _days(rng: np.random.Generator, rows_per_day: int, plan: Plan) -> Iterator[Slice]:
    start = YEAR_START
    for chapter, days, world in plan:
        for _ in range(days):
            yield Slice(chapter, _timed(world(rng, rows_per_day), start, DAY))
            start += DAY


def _timed(rows: pd.DataFrame, start: int, width: int) -> pd.DataFrame:
    return rows.assign(**{TIME: start + np.arange(len(rows)) * width // max(len(rows), 1)})
