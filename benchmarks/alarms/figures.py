"""From judged windows to figures: false pages per budget, power, the score's calibration, what is named as broken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from benchmarks.alarms.judging import Judged

DAYS = 10_000
"""Model-days simulated from the judged windows of each table."""
WINDOWS_A_DAY = 24
PERIOD = 90 * WINDOWS_A_DAY
"""Windows in which one false page is allowed."""
BLOCK = 12
"""Windows drawn together, in their order."""
HARMLESS, HARMFUL = 0.02, 0.05

Row = dict[str, str | float | int | None]


def incidents(gains: Sequence[float], limit: float, rng: np.random.Generator, windows: int) -> int:
    """Return how many pages open in a stream of `windows`, drawn in blocks from the evidence of judged windows."""
    known = np.asarray(gains)
    starts = rng.integers(0, len(known), windows // BLOCK + 1)
    drawn = known[(starts[:, None] + np.arange(BLOCK)) % len(known)].ravel()[:windows]
    total, opened, open_now = 0.0, 0, False
    for amount in drawn.tolist():
        total = min(max(total + amount, 0.0), limit)
        if not open_now and total >= limit:
            open_now, opened = True, opened + 1
        elif open_now and total <= 0.0:
            open_now = False
    return opened


def found_after(gains: Sequence[float], limit: float, longest: int) -> int | None:
    """Return after how many windows of a lasting break a page opens; None where not within `longest`."""
    total = 0.0
    for count in range(1, longest + 1):
        total = max(total + gains[(count - 1) % len(gains)], 0.0)
        if total >= limit:
            return count
    return None


def false_pages(judged: Sequence[Judged], limit: float, seed: int) -> list[Row]:
    """Return, by table and kind of calm stream, false pages per period of the budget."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    windows = DAYS * WINDOWS_A_DAY
    for table in sorted({j.table for j in judged}):
        row: Row = {"table": table}
        for kind in ("iid", "in order"):
            own = [j.gain for j in judged if (j.table, j.family, j.kind) == (table, "calm", kind)]
            row[f"calm, {kind}"] = incidents(own, limit, rng, windows) / windows * PERIOD
        row["windows judged"] = sum(j.table == table and j.family == "calm" for j in judged)
        rows.append(row)
    return rows


def power(judged: Sequence[Judged], limit: float) -> list[Row]:
    """Return, by size of the true drop, the share of lasting breaks and shifts found in time."""
    groups: dict[tuple[str, int], list[Judged]] = {}
    for j in judged:
        if j.family in ("corrupt", "covariate", "prior"):
            groups.setdefault((j.table, j.group), []).append(j)
    rows: list[Row] = []
    for least, longest in ((0.15, 2), (0.07, 24), (0.05, 168)):
        chosen = [g for g in groups.values() if np.mean([j.drop for j in g]) >= least]
        times = [found_after([j.gain for j in g], limit, longest) for g in chosen]
        share = float(np.mean([t is not None for t in times])) if times else None
        label = f"drop of at least {least:.0%}"
        rows.append({"lasting": label, "within windows": longest, "found": share, "breaks": len(times)})
    return rows


def harmless(judged: Sequence[Judged]) -> list[Row]:
    """Return the share of single windows on which each rule speaks, by what is truly lost."""
    rules = sorted({name for j in judged for name in j.peers})
    kinds = {
        "calm": [j for j in judged if j.family == "calm"],
        "shifted, lost at most 2 points": [
            j for j in judged if j.family in ("covariate", "prior", "natural") and j.drop <= HARMLESS
        ],
        "lost at least 5 points": [j for j in judged if j.drop >= max(HARMFUL, 2 * j.error)],
    }
    rows: list[Row] = []
    for name in ("mlhealth score at most 20", *rules):
        row: Row = {"rule, per window": name}
        for kind, chosen in kinds.items():
            alarms = [j.score <= 20.0 if name.startswith("mlhealth") else j.peers[name] for j in chosen]
            row[kind] = float(np.mean(alarms)) if alarms else None
        rows.append(row)
    rows.append({"rule, per window": "windows", **{k: len(v) for k, v in kinds.items()}})
    return rows


def health(judged: Sequence[Judged]) -> dict[str, float | None]:
    """Return how the score ranks windows by true drop, finds real drops, and keeps its word at both ends."""
    score = np.array([j.score for j in judged])
    drop = np.array([j.drop for j in judged])
    fallen = np.array([j.drop >= max(HARMFUL, 2 * j.error) for j in judged])
    return {
        "health_spearman": float(spearmanr(-score, drop).statistic),
        "health_auroc": _auroc(-score, fallen),
        "fallen_of_score_at_most_20": _mean(drop[score <= 20.0] > HARMFUL),
        "fallen_of_score_at_least_80": _mean(drop[score >= 80.0] > HARMFUL),
    }


def attribution(judged: Sequence[Judged]) -> dict[str, float | None]:
    """Return how often a single broken column is named first, or among the first three, and its kind rightly.

    Windows count in which the break costs anything that could be noticed: the true drop is at least 2 points.
    """
    single = [j for j in judged if j.family == "corrupt" and len(j.columns) == 1 and j.drop >= HARMLESS]
    return {
        "attribution_top1": _mean([j.columns[0] in j.suspects[:1] for j in single]),
        "attribution_top3": _mean([j.columns[0] in j.suspects[:3] for j in single]),
        "attribution_kind": _mean([j.kind in j.kinds for j in single]),
        "attribution_windows": float(len(single)),
    }


def _auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    n, m = int(positive.sum()), int((~positive).sum())
    if n == 0 or m == 0:
        return None
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m))


def _mean(values: Sequence[bool] | NDArray[np.bool_]) -> float | None:
    return float(np.mean(values)) if len(values) else None
