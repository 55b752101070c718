"""A generated world of loan applications, in which the truth is known.

Every number here is made up; what matters is that the world is stationary until told otherwise, so that whatever
changes in the stream was put there by a chapter of the story.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

FEATURES = (
    "age",
    "income",
    "amount",
    "term_months",
    "bureau_score",
    "credit_history_months",
    "utilisation",
    "late_payments",
    "employment",
    "purpose",
    "region",
    "channel",
    "guarantor",
)
TARGET = "defaulted"
BASE_RATE = 0.2

_EMPLOYMENT = np.array(["permanent", "fixed term", "self-employed", "retired", "student"])
_EMPLOYMENT_RISK = np.array([-0.5, 0.4, 0.3, -0.2, 0.8])
_PURPOSE = np.array(["car", "home", "debt", "study", "business"])
_PURPOSE_RISK = np.array([-0.2, -0.5, 0.6, 0.2, 0.5])
_REGION = np.array(["north", "south", "east", "west"])
_CHANNEL = np.array(["web", "branch", "partner"])


def applications(rng: np.random.Generator, rows: int, *, young: float = 0.0) -> pd.DataFrame:
    """Return `rows` applications with their outcome in `defaulted` (0 or 1).

    `young` is the share of applicants that a campaign for young people adds to the usual ones (0 to 1).
    """
    campaign = rng.random(rows) < young
    age = np.where(campaign, rng.normal(27, 4, rows), rng.normal(44, 12, rows)).clip(18, 85).round()
    employment = rng.choice(5, rows, p=[0.55, 0.16, 0.13, 0.1, 0.06])
    income = np.exp(rng.normal(7.85 + 0.006 * np.minimum(age - 40, 15), 0.45, rows)).round(-1)
    income = np.where(employment == 4, income * 0.45, income).round(-1)
    amount = np.exp(rng.normal(9.2, 0.75, rows)).round(-2).clip(500, 120_000)
    bureau = rng.normal(600, 85, rows).clip(250, 850).round()
    frame = pd.DataFrame(
        {
            "age": age,
            "income": income,
            "amount": amount,
            "term_months": rng.choice([12, 24, 36, 48, 60, 84], rows),
            "bureau_score": np.where(rng.random(rows) < 0.02, np.nan, bureau),
            "credit_history_months": rng.gamma(2.0, np.maximum(age - 17, 1) * 2.4).round(),
            "utilisation": rng.beta(2.0, 3.0, rows).round(3),
            "late_payments": rng.poisson(0.6, rows),
            "employment": _EMPLOYMENT[employment],
            "purpose": _PURPOSE[rng.choice(5, rows, p=[0.3, 0.2, 0.22, 0.13, 0.15])],
            "region": _REGION[rng.choice(4, rows, p=[0.35, 0.3, 0.2, 0.15])],
            "channel": np.where(campaign, "web", _CHANNEL[rng.choice(3, rows, p=[0.5, 0.35, 0.15])]),
            "guarantor": rng.random(rows) < 0.18,
        }
    )
    frame[TARGET] = (rng.random(rows) < default_probability(frame, bureau)).astype(np.int64)
    return frame


def default_probability(frame: pd.DataFrame, bureau: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each applicant's true probability of default, shape (rows,); `bureau` is the score without gaps."""
    employment = pd.Series(_EMPLOYMENT_RISK, index=_EMPLOYMENT).loc[frame["employment"]].to_numpy()
    purpose = pd.Series(_PURPOSE_RISK, index=_PURPOSE).loc[frame["purpose"]].to_numpy()
    instalment = frame["amount"].to_numpy() / frame["term_months"].to_numpy()
    burden = np.log(instalment / frame["income"].to_numpy())
    logit = (
        -2.75
        + 1.9 * (burden + 2.0)
        - 0.021 * (bureau - 600)
        + 2.2 * (frame["utilisation"].to_numpy() - 0.4)
        + 0.75 * frame["late_payments"].to_numpy()
        - 0.5 * frame["guarantor"].to_numpy()
        + employment
        + purpose
    )
    return np.asarray(expit(1.15 * logit))


def with_default_rate(frame: pd.DataFrame, rate: float, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return `rows` of `frame`, each at most once, of which a share `rate` defaulted: a label mix that moved.

    Raises ValueError where the frame has too few of either kind.
    """
    bad = int((rng.random(rows) < rate).sum())
    defaulted = frame[TARGET].to_numpy() == 1
    position = np.concatenate(
        [
            rng.choice(np.flatnonzero(defaulted), bad, replace=False),
            rng.choice(np.flatnonzero(~defaulted), rows - bad, replace=False),
        ]
    )
    return frame.iloc[rng.permutation(position)].reset_index(drop=True)
