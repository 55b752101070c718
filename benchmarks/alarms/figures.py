"""From judged windows to figures: false pages per budget, power, the score's calibration, what is named as broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from benchmarks.alarms.judging import RATES
from benchmarks.alarms.judging_records import Judged
from benchmarks.alarms.streams import TOLERANCE
from mlhealth.budget.limits import BudgetLimits, gains
from mlhealth.clock import DAY

DAYS = 10_000
"""Model-days simulated from the judged windows of each table."""
PERIOD = 90 * DAY
"""Time in which one false page is allowed."""
BLOCK = 12
"""Windows drawn together, in their order."""
HARMLESS, HARMFUL = 0.02, 0.05
DROPS = ((0.15, np.inf), (0.07, 0.15), (0.05, 0.07), (0.02, 0.05), (-np.inf, 0.02))
"""True losses of lasting treatments, from and up to."""
GOALS = {"power_15_points": (0.15, 2), "power_7_points": (0.07, 24), "power_5_points": (0.05, 168)}
"""By figure: least true loss, and hourly windows within which it is to be found."""

Row = dict[str, str | float | int | None]
Limits = Mapping[tuple[str, str], BudgetLimits]
"""By how the limit was found and the windows' length."""
LASTING = ("corrupt", "covariate", "prior")
CALM = ("iid", "in order")
SINGLE = ("single", "further")


def evidence(windows: Sequence[Judged], limits: BudgetLimits) -> NDArray[np.float64]:
    """Return the evidence of each window, in nats, in order."""
    own = limits.objective.tolerance / TOLERANCE
    return np.array(
        [float(gains(np.array(j.loss * own), j.deviation * own, j.rows, limits)) for j in windows]
    )


@dataclass(frozen=True)
class Pages:
    """Pages opened in a stream: `false` ones, and `true` ones, before which labels had in fact shown the loss."""

    false: int
    true: int


def incidents(
    known: NDArray[np.float64],
    drops: NDArray[np.float64],
    limit: float,
    rng: np.random.Generator,
    windows: int,
) -> Pages:
    """Return the pages that open in a stream of `windows`, drawn in blocks from the evidence of judged windows.

    A page is true where the mean true drop of the windows that built it up exceeds the tolerance.
    """
    starts = rng.integers(0, len(known), windows // BLOCK + 1)
    places = ((starts[:, None] + np.arange(BLOCK)) % len(known)).ravel()[:windows]
    total, lost, since, open_now = 0.0, 0.0, 0, False
    opened = [0, 0]
    for amount, drop in zip(known[places].tolist(), drops[places].tolist(), strict=True):
        total = min(max(total + amount, 0.0), limit)
        lost, since = (lost + drop, since + 1) if total > 0.0 else (0.0, 0)
        if not open_now and total >= limit:
            open_now = True
            opened[lost / since >= HARMFUL] += 1
        elif open_now and total <= 0.0:
            open_now = False
    return Pages(*opened)


def found_after(known: NDArray[np.float64], limit: float, longest: int) -> int | None:
    """Return after how many windows of a lasting treatment a page opens; None where not within `longest`."""
    total = 0.0
    for count in range(1, longest + 1):
        total = max(total + known[(count - 1) % len(known)], 0.0)
        if total >= limit:
            return count
    return None


def false_pages(judged: Sequence[Judged], limits: Mapping[str, Limits], seed: int) -> list[Row]:
    """Return, by table, null and kind of calm stream, false pages per period of the budget at hourly windows."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    windows = DAYS * 24
    for table in sorted({j.table for j in judged}):
        own = [j for j in judged if j.table == table and j.family == "calm"]
        row: Row = {"table": table}
        for null in ("bootstrap", "bound"):
            at = limits[table][null, "1 hour"]
            for kind in CALM:
                stream = sorted((j for j in own if j.kind == kind), key=lambda j: j.group)
                if len(stream) < BLOCK:
                    row[f"{null}, {kind}"] = None
                    continue
                drops = np.array([j.drop for j in stream])
                pages = incidents(evidence(stream, at), drops, at.limit, rng, windows)
                row[f"{null}, {kind}"] = pages.false / windows * PERIOD / RATES["1 hour"]
                if (null, kind) == ("bootstrap", "in order"):
                    row["true ones beside"] = pages.true / windows * PERIOD / RATES["1 hour"]
        rows.append({**row, "limit, nats": limits[table]["bootstrap", "1 hour"].limit, "windows": len(own)})
    return rows


def power(judged: Sequence[Judged], limits: Mapping[str, Limits]) -> list[Row]:
    """Return the power curve: by true loss, null and window length, the share found within a time, and how soon."""
    rows: list[Row] = []
    for low, high in DROPS:
        groups = _groups(judged, low, high)
        row: Row = {"true loss": _between(low, high), "treatments": len(groups)}
        for null in ("bootstrap", "bound"):
            for longest in (2, 24, 168):
                row[f"{null}, {longest} h"] = _share(groups, limits, (null, "1 hour"), longest)
        row["15 min windows, 1 day"] = _share(groups, limits, ("bootstrap", "15 minutes"), 96)
        row["daily windows, 1 week"] = _share(groups, limits, ("bootstrap", "1 day"), 7)
        rows.append(row)
    return rows


def goals(judged: Sequence[Judged], limits: Mapping[str, Limits]) -> dict[str, float | None]:
    """Return the shares of lasting losses found in the times that are the goals."""
    at = ("bootstrap", "1 hour")
    found: dict[str, float | None] = {}
    for name, (least, longest) in GOALS.items():
        groups = _groups(judged, least, np.inf)
        found[name] = _share(groups, limits, at, longest)
        found[f"{name}_treatments"] = float(len(groups))
    return found


def _groups(judged: Sequence[Judged], low: float, high: float) -> list[list[Judged]]:
    groups: dict[tuple[str, float], list[Judged]] = {}
    for j in judged:
        if j.family in LASTING and low <= j.lasting < high:
            groups.setdefault((j.table, j.group), []).append(j)
    return list(groups.values())


def _share(
    groups: Sequence[Sequence[Judged]], limits: Mapping[str, Limits], at: tuple[str, str], longest: int
) -> float | None:
    told = [limits[g[0].table][at] for g in groups]
    times = [found_after(evidence(g, one), one.limit, longest) for g, one in zip(groups, told, strict=True)]
    return _mean([t is not None for t in times])


def _between(low: float, high: float) -> str:
    if high == np.inf:
        return f"{100 * low:.0f} points and more"
    return f"up to {100 * high:.0f} points" if low < 0 else f"{100 * low:.0f} to {100 * high:.0f} points"


def harmless(judged: Sequence[Judged]) -> list[Row]:
    """Return the share of single windows on which each rule speaks, by what is truly lost."""
    asked = [j for j in judged if j.peers]
    rules = sorted({name for j in asked for name in j.peers})
    kinds = {
        "calm, iid": [j for j in asked if j.family == "calm" and j.kind == "iid"],
        "calm, in order": [j for j in asked if j.family == "calm" and j.kind == "in order"],
        "shifted, loses at most 2 points": [
            j for j in asked if j.family in ("covariate", "prior") and j.lasting <= HARMLESS
        ],
        "broken, loses at most 2 points": [
            j for j in asked if j.family == "corrupt" and j.lasting <= HARMLESS
        ],
        "natural, lost at most 2 points": [j for j in asked if j.family == "natural" and j.drop <= HARMLESS],
        "loses at least 5 points": [j for j in asked if j.family in LASTING and j.lasting >= HARMFUL],
    }
    rows: list[Row] = []
    for name in ("mlhealth score at most 20", "mlhealth score at most 50", *rules):
        row: Row = {"rule, per window": name}
        least = float(name.rsplit(" ", 1)[1]) if name.startswith("mlhealth") else 0.0
        for kind, chosen in kinds.items():
            spoken = [
                j.score <= least if least else j.peers[name] for j in chosen if least or name in j.peers
            ]
            row[kind] = _mean(spoken)
        rows.append(row)
    rows.append({"rule, per window": "windows", **{k: len(v) for k, v in kinds.items()}})
    return rows


def health(judged: Sequence[Judged]) -> dict[str, float | None]:
    """Return how the score ranks windows by true drop, finds real drops, and keeps its word at both ends.

    Over windows of lasting treatments, whose true losses are spread evenly, and for all but the rank correlation one
    calm window in ten, so that they do not drown the others. Natural windows, where labels may have changed their
    meaning unseen, are counted beside, in `_with_natural`.
    """
    lasting = [j for j in judged if j.family in LASTING]
    calm = [j for j in judged if j.family == "calm"][::10]
    natural = [j for j in judged if j.family == "natural"]
    mixed = lasting + calm
    score, drop = (np.array([getattr(j, name) for j in mixed]) for name in ("score", "drop"))
    return {
        "health_spearman": _spearman(lasting),
        "health_spearman_of_true_cost": _true_cost(lasting),
        "health_spearman_of_lasting_loss": _spearman(lasting, "lasting"),
        "health_spearman_with_natural": _spearman(lasting + natural),
        "health_auroc": _auroc_of(mixed),
        "health_auroc_with_natural": _auroc_of(mixed + natural),
        "fallen_of_score_at_most_20": _mean(drop[score <= 20.0] > HARMFUL),
        "fallen_of_score_at_least_80": _mean(drop[score >= 80.0] > HARMFUL),
    }


def _auroc_of(windows: Sequence[Judged]) -> float | None:
    """Return how well the score tells drops that are real from windows that lost at most 2 points."""
    drop, score = (np.array([getattr(j, name) for j in windows]) for name in ("drop", "score"))
    error = np.array([j.error for j in windows])
    fallen = drop >= np.maximum(HARMFUL, 2 * error)
    settled = fallen | (drop <= HARMLESS)
    return _auroc(-score[settled], fallen[settled])


def attribution(judged: Sequence[Judged]) -> dict[str, float | None]:
    """Return how often a single broken column is named first, or among the first three, and its kind rightly.

    Over breaks of one column of every kind, whatever they cost; beside them those that cost at least 2 points, those
    of kinds on which nothing was chosen (`_further`).
    """
    single = [j for j in judged if j.family in SINGLE]
    parts = {
        "": single,
        "_costly": [j for j in single if j.lasting >= HARMLESS],
        "_further": [j for j in single if j.family == "further"],
    }
    found: dict[str, float | None] = {}
    for name, chosen in parts.items():
        found |= {f"attribution_{figure}{name}": value for figure, value in _named(chosen).items()}
    return found


def _named(windows: Sequence[Judged]) -> dict[str, float | None]:
    return {
        "top1": _mean([j.columns[0] in j.suspects[:1] for j in windows]),
        "top3": _mean([j.columns[0] in j.suspects[:3] for j in windows]),
        "kind": _mean([bool(set(j.kinds) & set(j.names)) for j in windows]),
        "windows": float(len(windows)),
    }


def attribution_by(judged: Sequence[Judged], part: str, title: str) -> list[Row]:
    """Return attribution for each value of `part`, an attribute of windows with one broken column."""
    single = [j for j in judged if j.family in SINGLE]
    names = dict.fromkeys(str(getattr(j, part)) for j in sorted(single, key=lambda j: j.family == "further"))
    return [{title: name, **_named([j for j in single if str(getattr(j, part)) == name])} for name in names]


def intervals(
    judged: Sequence[Judged], figures: Callable[[Sequence[Judged]], Mapping[str, float | None]], seed: int
) -> dict[str, tuple[float, float]]:
    """Return 90 % intervals of figures, by drawing whole tables again (a table's windows are not independent)."""
    rng = np.random.default_rng(seed)
    by_table = {t: [j for j in judged if j.table == t] for t in sorted({j.table for j in judged})}
    names, drawn = list(by_table), []
    for _ in range(200):
        picked = [names[i] for i in rng.integers(0, len(names), len(names))]
        drawn.append(figures([j for name in picked for j in by_table[name]]))
    found = {}
    for figure in drawn[0]:
        known = [d[figure] for d in drawn if d[figure] is not None and np.isfinite(d[figure] or 0.0)]
        if known:
            low, high = np.quantile(np.array(known, dtype=np.float64), [0.05, 0.95])
            found[figure] = (float(low), float(high))
    return found


def _spearman(windows: Sequence[Judged], truth: str = "drop") -> float | None:
    if len(windows) < 3:
        return None
    return float(spearmanr([-j.score for j in windows], [getattr(j, truth) for j in windows]).statistic)


def _true_cost(windows: Sequence[Judged]) -> float | None:
    """Return the rank correlation of what treatments truly cost with what single windows of them lost."""
    if len(windows) < 3:
        return None
    return float(spearmanr([j.lasting for j in windows], [j.drop for j in windows]).statistic)


def _auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    n, m = int(positive.sum()), int((~positive).sum())
    if n == 0 or m == 0:
        return None
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m))


def _mean(values: Sequence[bool] | NDArray[np.bool_]) -> float | None:
    return float(np.mean(values)) if len(values) else None
