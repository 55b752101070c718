"""What kind of fault a column has: rules that look at its values, where the counts have said that they moved.

Each rule knows one way in which values break on their way to a model, and speaks only where that way accounts for
what has moved. A column that merely drifted meets none of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.records import ColumnFault

Floats = NDArray[np.float64]
LEAST_SHARE = 0.02
"""Share of rows below which a fault is not told."""
SURE = 4.0
"""Standard errors by which a share must have grown."""
ACCOUNTED = 0.75
"""Share of what has moved that a kind must account for."""
KOLMOGOROV = 1.63
"""Distance of two samples, in units of sqrt(1/n + 1/N), that chance exceeds once in a hundred times."""
LEAST_FACTOR = 3.0
"""A smaller factor may be drift."""
FAR = 4.0
"""Standard deviations from the reference's median beyond which a value is an outlier."""
PLACEHOLDERS = frozenset({0.0, -1.0, -9.0, -99.0, -999.0, -9999.0, 999.0, 9999.0, 99999.0})
"""Numbers that systems write where they have no value."""
RARE = 0.001
"""Share of the reference from which a number is a value like any other."""
MOST_NAMES = 200
"""Categories compared with each other at most."""
LEAST_LETTERS = 4
"""Shorter names are one letter from each other anyway."""
AMBIGUOUS = frozenset({"stuck constant", "clipped", "recoded categories"})
"""Kinds that a drift, or another fault, can look like, unless all rows have them."""
UNMISTAKABLE = frozenset(
    {"missing", "changed case", "typos", "unseen category", "zero for missing", "outliers"}
)
"""Kinds that are told although something else says otherwise of the column."""
ALWAYS = 0.9
"""Share of rows from which a fault is told without its share."""


def column_fault(
    name: str, reference: pd.Series, window: pd.Series, *, numeric: bool, explained: bool = False
) -> ColumnFault | None:
    """Return the fault that accounts for how a column's values have moved, or None where no rule does.

    `explained`: something else says how the column is broken; then only what cannot be mistaken is told.
    """
    gone = _more_missing(reference, window)
    if gone is not None:
        share, text = gone, f"{name} is missing{_in_rows(gone)}"
        return ColumnFault(name, "missing", share, text)
    before, after = reference.dropna(), window.dropna()
    if len(before) == 0 or len(after) == 0:
        return None
    if numeric:
        found = _numeric(before.to_numpy(np.float64), after.to_numpy(np.float64))
    else:
        found = _categorical(before.astype(str), after.astype(str))
    if found is None:
        return None
    kind, share, text = found
    if (explained and kind not in UNMISTAKABLE) or (kind in AMBIGUOUS and share < ALWAYS):
        return None
    return ColumnFault(name, kind, share, f"{name} {text}{_in_rows(share)}")


Found = tuple[str, float, str]


def _more_missing(reference: pd.Series, window: pd.Series) -> float | None:
    if len(window) == 0:
        return None
    before, after = float(reference.isna().mean()), float(window.isna().mean())
    error = np.sqrt(max(before * (1 - before), 1e-4) / len(window))
    grown = (after - before) / max(1.0 - before, 1e-9)
    return grown if after - before > max(LEAST_SHARE, SURE * float(error)) else None


def _numeric(before: Floats, after: Floats) -> Found | None:
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if len(before) == 0 or len(after) == 0:
        return None
    scaled = _scaled(before, after)
    if scaled is not None:
        return scaled
    values, gained = _gained(before, after)
    if len(values) == 1:
        return _spike(float(values[0]), float(gained[0]), before, after)
    if len(values) > 1:
        grid = _grid(values, gained, before, after)
        if grid is not None:
            return grid
    return _outliers(before, after)


def _scaled(before: Floats, after: Floats) -> Found | None:
    """Return a wrong unit or sign of all values, where one factor makes the window's distribution the reference's."""
    ordered = np.sort(before)
    apart = _distance(ordered, after)
    noise = KOLMOGOROV * float(np.sqrt(1 / len(before) + 1 / len(after)))
    if apart < 3.0 * noise:
        return None
    read = [_ratio(measure(after), measure(before)) for measure in (np.median, np.std)]
    tens = [10.0 ** round(np.log10(factor)) for factor in read if factor > 0.0]
    for factor in (-1.0, *tens, *read):
        plain = factor == -1.0 or abs(factor) > LEAST_FACTOR or abs(factor) < 1.0 / LEAST_FACTOR
        if factor and plain and _distance(ordered, after / factor) < max(noise, 0.1 * apart):
            size, way = (factor, "large") if factor > 1.0 else (1.0 / factor, "small")
            text = "has the wrong sign" if factor < 0 else f"arrives {float(f'{size:.2g}'):g}x too {way}"
            return ("sign flip" if factor < 0 else "unit error"), 1.0, text
    return None


def _ratio(now: np.floating[Any], before: np.floating[Any]) -> float:
    return float(now / before) if before != 0.0 else 0.0


def _distance(ordered: Floats, values: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance of a sample from a sorted one."""
    values = np.sort(values)
    points = np.concatenate([ordered, values])
    sides = [np.searchsorted(sample, points, "right") / len(sample) for sample in (ordered, values)]
    return float(np.abs(sides[0] - sides[1]).max())


def _gained(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Return the values whose share has surely grown, largest growth first, and by how much."""
    values, counts = np.unique(after, return_counts=True)
    share = counts / len(after)
    low, high = np.searchsorted(np.sort(before), values), np.searchsorted(np.sort(before), values, "right")
    usual = (high - low) / len(before)
    error = np.sqrt(np.maximum(usual * (1 - usual), 1.0 / len(before)) * (1 / len(after) + 1 / len(before)))
    grown = share - usual
    chosen = np.flatnonzero((grown > LEAST_SHARE) & (grown > SURE * error))
    order = chosen[np.argsort(-grown[chosen], kind="stable")]
    # A share that grew a little beside one that grew much is the same fault's side effect, or chance.
    order = order[grown[order] > 0.15 * grown[order[0]]] if len(order) else order
    return values[order], grown[order]


def _spike(value: float, gained: float, before: Floats, after: Floats) -> Found | None:
    below, above = float(np.mean(before < value)), float(np.mean(before > value))
    under, over = float(np.mean(after < value)), float(np.mean(after > value))
    tolerance = SURE * float(np.sqrt(0.25 * (1 / len(after) + 1 / len(before)))) / 2.0
    share = min(gained / max(1.0 - float(np.mean(before == value)), 1e-9), 1.0)
    if value in PLACEHOLDERS and float(np.mean(before == value)) < RARE:
        return "zero for missing", share, f"holds {value:g} where it has no value"
    if above > gained - tolerance and abs(under - below) < tolerance and over < above - gained / 2:
        if below > 0.05:
            return "clipped", (above - over) / max(above, 1e-9), f"is cut off above {value:.4g}"
    elif below > gained - tolerance and abs(over - above) < tolerance and above > 0.05:
        return "clipped", (below - under) / max(below, 1e-9), f"is cut off below {value:.4g}"
    return "stuck constant", share, f"is stuck at {value:.6g}"


def _grid(values: Floats, gained: Floats, before: Floats, after: Floats) -> Found | None:
    """Return rounding, where the values that gained lie on a grid that the reference does not keep to."""
    ordered = np.sort(values)
    step = float(np.min(np.diff(ordered)))
    if step <= 0.0:
        return None
    on_grid = np.abs(ordered / step - np.round(ordered / step)) < 1e-6
    usual = np.abs(before / step - np.round(before / step)) < 1e-6
    share = (np.mean(np.abs(after / step - np.round(after / step)) < 1e-6) - usual.mean()) / max(
        1.0 - usual.mean(), 1e-9
    )
    if not on_grid.all() or usual.mean() > 0.7 or share < LEAST_SHARE:
        return None
    return "rounding", float(min(share, 1.0)), f"is rounded to steps of {step:.4g}"


def _outliers(before: Floats, after: Floats) -> Found | None:
    middle, spread = float(np.median(before)), float(np.std(before)) or 1.0
    far_before, far = (np.abs(v - middle) > FAR * spread for v in (before, after))
    share = float(far.mean() - far_before.mean())
    if share < LEAST_SHARE:
        return None
    up = float(np.mean(after[far] > middle))
    edges = np.unique(np.quantile(before, np.linspace(0.0, 1.0, 11)))
    moved = 0.5 * float(np.abs(_shares(before, edges) - _shares(after, edges)).sum())
    inner = _shares(after[~far], edges) - _shares(before[~far_before], edges)
    noise = float(np.sqrt(len(edges) / max(int((~far).sum()), 1)))
    if 0.2 < up < 0.8 and 0.5 * float(np.abs(inner).sum()) < max(noise, 0.3 * moved):
        return "outliers", share, "holds values far beyond any of the reference"
    return None


def _shares(values: Floats, edges: Floats) -> Floats:
    if len(values) == 0:
        return np.zeros(len(edges) + 1)
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) / len(values)


def _categorical(before: pd.Series, after: pd.Series) -> Found | None:
    usual, now = before.value_counts(normalize=True), after.value_counts(normalize=True)
    unseen = now[~now.index.isin(usual.index)]
    if unseen.sum() > max(LEAST_SHARE, SURE / np.sqrt(len(after)) / 5):
        return _unseen(unseen, [str(name) for name in usual.index[:MOST_NAMES]])
    names = usual.index
    p = np.asarray(usual, dtype=np.float64)
    q = np.asarray(now.reindex(names, fill_value=0.0), dtype=np.float64)
    error = float(np.sqrt(len(names) * (1 / len(after) + 1 / len(before)))) / 2.0
    moved = 0.5 * float(np.abs(p - q).sum())
    if moved < max(LEAST_SHARE, error) or len(names) < 2:
        return None
    stuck, place = _stuck(p, q)
    recoded = _recoded(p, q)
    if recoded[1] <= min(stuck[1], error) and recoded[1] < (1 - ACCOUNTED) * moved:
        return "recoded categories", recoded[0], "has its categories exchanged"
    if stuck[1] < (1 - ACCOUNTED) * moved:
        return "stuck constant", stuck[0], f"is stuck at {names[place]}"
    return None


def _unseen(unseen: pd.Series, known: list[str]) -> Found:
    share, names = float(unseen.sum()), [str(name) for name in unseen.index[:MOST_NAMES]]
    weight = unseen.to_numpy(np.float64)[:MOST_NAMES]
    plain = {name.strip().casefold() for name in known}
    same = np.array([name.strip().casefold() in plain for name in names])
    if weight[same].sum() > ACCOUNTED * weight.sum():
        return "changed case", share, "has categories in another case or with spaces"
    near = np.array([_misspelt(name, known) for name in names])
    if weight[near].sum() > ACCOUNTED * weight.sum():
        return "typos", share, "has categories that are misspelt"
    more = f" and {len(unseen) - 1} more" if len(unseen) > 1 else ""
    return "unseen category", share, f"holds {names[0]!r}{more}, never seen before"


def _misspelt(name: str, known: list[str]) -> bool:
    return len(name) >= LEAST_LETTERS and any(_one_edit(name, other) for other in known)


def _one_edit(a: str, b: str) -> bool:
    """Whether one letter put in, left out or exchanged makes one text of the other."""
    if a == b or abs(len(a) - len(b)) > 1:
        return a == b
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[at + 1 :] == b[at + 1 :] or a[at:] == b[at + 1 :] or a[at + 1 :] == b[at:]


def _stuck(p: Floats, q: Floats) -> tuple[tuple[float, float], int]:
    """Return the share stuck at one category, what that leaves unexplained, and the category's place."""
    place = int(np.argmax(q - p))
    others = 1.0 - p[place]
    share = float(np.clip((q[place] - p[place]) / max(others, 1e-9), 0.0, 1.0))
    expected = (1.0 - share) * p
    expected[place] += share
    return (share, 0.5 * float(np.abs(expected - q).sum())), place


def _recoded(p: Floats, q: Floats) -> tuple[float, float]:
    """Return the share whose categories were exchanged, and what that leaves unexplained."""
    best = (0.0, float("inf"))
    for share in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        moved = (q - (1.0 - share) * p) / share
        exchanged = np.empty_like(p)
        exchanged[np.argsort(-moved, kind="stable")] = np.sort(p)[::-1]
        left = 0.5 * float(np.abs((1.0 - share) * p + share * exchanged - q).sum())
        if left < best[1] - 1e-9:
            best = (share, left)
    return best


def _in_rows(share: float) -> str:
    return "" if share >= ALWAYS else f" in {100 * share:.0f} % of rows"
