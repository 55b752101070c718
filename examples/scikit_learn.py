"""A scikit-learn model watched without labels: fit a baseline, estimate each day, see a broken unit.

Run it with `python examples/scikit_learn.py`; nothing is downloaded.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

import mlhealth as mh

FEATURES = ["weight_kg", "distance_km", "items", "express"]


def parcels(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return parcels with whether each came late."""
    frame = pd.DataFrame(
        {
            "weight_kg": rng.gamma(2.0, 3.0, rows),
            "distance_km": rng.gamma(3.0, 120.0, rows),
            "items": rng.integers(1, 8, rows),
            "express": rng.random(rows) < 0.3,
        }
    )
    logit = 0.008 * frame["distance_km"] + 0.25 * frame["weight_kg"] - 2.5 * frame["express"] - 3.5
    return frame.assign(late=(rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int))


def logged(model: HistGradientBoostingClassifier, frame: pd.DataFrame, start: str) -> pd.DataFrame:
    """Return parcels with what the deployed model answered and when: one a minute."""
    score = model.predict_proba(frame[FEATURES])[:, 1]
    times = pd.date_range(start, periods=len(frame), freq="1min", tz="UTC")
    return frame.assign(y_score=score, y_pred=(score >= 0.5).astype(int), at=times)


def main() -> None:
    """Train, fit, estimate."""
    rng = np.random.default_rng(0)
    train = parcels(rng, 8_000)
    model = HistGradientBoostingClassifier(random_state=0, max_iter=80).fit(train[FEATURES], train["late"])

    columns = {"prediction": "y_pred", "score": "y_score", "label": "late", "timestamp": "at"}
    reference = logged(model, parcels(rng, 4_000), "2026-01-01")
    baseline = mh.fit(reference, {"model": "parcels", "columns": columns}, scorer=model.predict_proba)
    print(baseline)

    week = parcels(rng, 7 * 1440)
    week.loc[week.index >= 5 * 1440, "weight_kg"] *= 1000  # from the sixth day on the scales send grams
    production = logged(model, week, "2026-02-02")
    report = baseline.estimate(production.drop(columns="late"), window="1d")

    told = report.to_df().set_index("start_date")
    right = (production["y_pred"] == production["late"]).groupby(production["at"].dt.floor("1D")).mean()
    shown = ["value", "lower_confidence_boundary", "upper_confidence_boundary", "health_status"]
    print(told[shown].assign(truth=right).to_string(float_format="{:.3f}".format))
    print(told["reason"].iloc[-1])


if __name__ == "__main__":
    main()
