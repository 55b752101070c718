"""From records to tables: error by family, detection of drops, coverage, cost, and the gate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import t as student

from benchmarks.estimation.windows import FAMILIES

SEEN = [f for f in FAMILIES if f != "concept"]
"""Families that can be seen without labels."""
GATE_FAMILIES = ("control", "natural", "covariate")
GATE_MARGIN = 0.004
LOG_METRICS = ("mae", "rmse")
WORST_LOG = 5.0


def frame(records: Sequence[object]) -> pd.DataFrame:
    """Return records as a table with each one's error; a window without an answer is charged the constant's."""
    table = pd.DataFrame([vars(r) for r in records])
    value = table["value"].astype(float).fillna(table["reference"])
    ratio = (
        (value.clip(lower=1e-12) / table["truth"].clip(lower=1e-12)).map(np.log).abs().clip(upper=WORST_LOG)
    )
    table["error"] = np.where(table["metric"].isin(LOG_METRICS), ratio, (value - table["truth"]).abs())
    table["estimate"] = value
    return table


def mean_over_tables(table: pd.DataFrame) -> float:
    """Return the mean over windows, then over tables."""
    return float(table.groupby("table")["error"].mean().mean()) if len(table) else float("nan")


def drops(table: pd.DataFrame) -> pd.Series:
    """Return which windows show a real drop: 5 points and 2 standard errors, or 20 % more error."""
    if table["metric"].iloc[0] in LOG_METRICS:
        return table["truth"] / table["reference"] > 1.2
    gap = table["reference"] - table["truth"]
    return (gap > 0.05) & (gap > 2 * table["noise"])


def detection(table: pd.DataFrame) -> float:
    """Return the AUROC with which the estimated fall finds real drops, ties half."""
    real = drops(table).to_numpy()
    fall = (table["reference"] - table["estimate"]).to_numpy()
    if table["metric"].iloc[0] in LOG_METRICS:
        fall = (table["estimate"].clip(lower=1e-12) / table["reference"]).map(np.log).to_numpy()
    hit, miss = fall[real], fall[~real]
    if len(hit) == 0 or len(miss) == 0:
        return float("nan")
    return float(((hit[:, None] > miss).mean() + (hit[:, None] >= miss).mean()) / 2)


def intervals(table: pd.DataFrame) -> dict[str, float]:
    """Return coverage and median width of `ok` windows, the least coverage of a family, and the share not `ok`.

    A regressor's width is the logarithm of the interval's upper over its lower end, whatever the unit of the target.
    """
    ok = table[(table["status"] == "ok") & table["lower"].notna()]
    if ok.empty:
        return {"cover": np.nan, "least family": np.nan, "width": np.nan, "not ok": np.nan}
    ends = ok[["lower", "upper"]].astype(float)
    if table["metric"].iloc[0] in LOG_METRICS:
        ends = ends.clip(lower=1e-12).map(np.log)
    inside = (ok["lower"] <= ok["truth"]) & (ok["truth"] <= ok["upper"])
    return {
        "cover": float(inside.mean()),
        "least family": float(inside.groupby(ok["family"]).mean().min()),
        "width": float((ends["upper"] - ends["lower"]).median()),
        "not ok": 1.0 - len(ok) / len(table),
    }


def summary(table: pd.DataFrame, metric: str) -> list[dict[str, str | float | None]]:
    """Return one row per method: error over all and by family, AUROC of drops, coverage, width, cost."""
    of_metric = table[table["metric"] == metric]
    out = []
    for method in of_metric["method"].drop_duplicates():
        mine = of_metric[of_metric["method"] == method]
        seen = mine[mine["family"].isin(SEEN)]
        row: dict[str, str | float | None] = {"method": method, "all": round(mean_over_tables(seen), 4)}
        for family in FAMILIES:
            row[family] = _rounded(mean_over_tables(mine[mine["family"] == family]))
        row["AUROC"] = _rounded(detection(seen))
        row |= {name: _rounded(value) for name, value in intervals(seen).items()}
        row["ms"] = round(1000 * float(mine["seconds"].mean()), 1)
        out.append(row)
    return out


def _rounded(value: float) -> float | None:
    return None if not np.isfinite(value) else round(value, 3)


def gate(table: pd.DataFrame, method: str, against: str) -> list[dict[str, str | float | None]]:
    """Return the paired comparison over tables: upper end of the 90 % interval of the error's difference."""
    out = []
    for metric in ("accuracy", "roc_auc", "f1"):
        for family in GATE_FAMILIES:
            part = table[(table["metric"] == metric) & (table["family"] == family)]
            means = part.groupby(["method", "table"])["error"].mean().unstack(0)
            if method not in means or against not in means:
                continue
            gap = (means[method] - means[against]).dropna()
            if len(gap) < 2:
                continue
            reach = float(student.ppf(0.95, len(gap) - 1)) * float(gap.std(ddof=1)) / np.sqrt(len(gap))
            upper = float(gap.mean()) + reach
            out.append({"metric": metric, "family": family, "difference": round(float(gap.mean()), 4),
                        "upper": round(upper, 4), "verdict": "pass" if upper <= GATE_MARGIN else "fail"})  # fmt: skip
    return out
