"""Two generated tables with structure that drifts, to confirm on: no real table is left that was not looked at.

Rows come in order. Columns hang together through hidden factors; the mix of rows, and the rule that makes the label,
wander slowly.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.estimation.tables import Table
from mlhealth.schema.model_schema import Task

ROWS = 20_000
Floats = NDArray[np.float64]


def loans(seed: int = 0) -> Table:
    """Return loan applications, binary: heavy tails, a category with a long tail, gaps that depend on the row."""
    rng = np.random.default_rng([seed, 1])
    when = np.linspace(0.0, 1.0, ROWS)
    wealth, care = rng.normal(0.3 * when, 1.0), rng.normal(0.0, 1.0, ROWS)
    income = np.exp(10.0 + 0.5 * wealth + 0.3 * rng.normal(size=ROWS))
    debt = np.exp(8.0 + 0.3 * wealth - 0.5 * care + 0.6 * rng.normal(size=ROWS))
    age = np.clip(42 + 9 * care + 6 * rng.normal(size=ROWS), 18, 90).round()
    years = np.maximum(0.0, (age - 20) * rng.beta(2, 4, ROWS)).round(1)
    late = rng.poisson(np.exp(-0.6 - 0.7 * care))
    shop = np.array([f"shop {int(i)}" for i in np.minimum(rng.zipf(1.6, ROWS), 400)], dtype=object)
    job = np.array(["none", "worker", "clerk", "self", "manager"], dtype=object)[
        np.clip((2 + wealth + 0.8 * rng.normal(size=ROWS)).round().astype(int), 0, 4)
    ]
    risk = (
        -1.6 + 0.9 * np.log(debt / income * 8) + (0.5 + 0.4 * when) * late - 0.03 * years
        - 0.8 * (job == "manager") + 0.6 * (job == "none") * (age < 30)
    )  # fmt: skip
    label = (rng.random(ROWS) < expit(risk)).astype(np.int64)
    gaps = rng.random(ROWS) < 0.15 * (job == "self")
    features = pd.DataFrame(
        {"income": np.where(gaps, np.nan, income), "debt": debt, "age": age, "years": years,
         "late": late.astype(float), "asked": np.exp(rng.normal(9.0 + 0.3 * wealth, 0.5)),
         "shop": shop, "job": job, "phone": _texts(rng, ("ios", "android", "web"), ROWS)}
    )  # fmt: skip
    return Table("generated loans", Task.BINARY, features, label, ("paid", "default"))


def machines(seed: int = 0) -> Table:
    """Return readings of machines in four states: correlated sensors, seasons, and a slowly ageing sensor."""
    rng = np.random.default_rng([seed, 2])
    when = np.arange(ROWS) / ROWS
    season = np.sin(2 * np.pi * 8 * when)
    load, wear = rng.beta(2, 3, ROWS) + 0.1 * season, rng.gamma(2.0, 0.5, ROWS)
    site = _texts(rng, ("a", "b", "c", "d", "e"), ROWS)
    heat = 20 + 8 * season + 30 * load + 6 * wear + rng.normal(0, 3, ROWS)
    shake = 0.2 * wear**2 + load * (site == "c") + rng.normal(0, 0.25, ROWS)
    sound = 50 + 12 * load + 4 * shake + rng.normal(0, 2, ROWS)
    power = 5 + 40 * load + 0.2 * heat + rng.normal(0, 2, ROWS)
    pressure = 3 + 0.5 * load - 0.3 * wear + rng.normal(0, 0.2, ROWS) - 0.4 * when
    signs = np.column_stack(
        [
            1.2 - wear,
            heat / 25 - 2.0 + 0.5 * load,
            1.2 * shake - 1.0 + 0.4 * when,
            2.0 * (pressure < 2.2) - 1.0,
        ]
    )
    label = np.asarray((1.6 * signs + rng.gumbel(size=(ROWS, 4))).argmax(axis=1), dtype=np.int64)
    features = pd.DataFrame(
        {"heat": heat, "shake": shake, "sound": sound, "power": power, "pressure": pressure,
         "speed": 900 + 600 * load + rng.normal(0, 40, ROWS), "humidity": rng.beta(3, 2, ROWS) * 100,
         "site": site, "shift": _texts(rng, ("day", "late", "night"), ROWS)}
    )  # fmt: skip
    return Table("generated machines", Task.MULTICLASS, features, label, ("fine", "hot", "loose", "leak"))


def _texts(rng: np.random.Generator, names: tuple[str, ...], rows: int) -> NDArray[np.object_]:
    return np.asarray(rng.choice(np.array(names, dtype=object), rows))


GENERATED = {"loans": loans, "machines": machines}
"""Each generated table by name."""
