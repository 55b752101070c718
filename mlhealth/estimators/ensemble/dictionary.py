"""Which operators may explain a column: what commonly goes wrong upstream, with sizes read off the window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.ensemble.operators import Operator, Values

Floats = NDArray[np.float64]
FACTORS = (
    1e-6, 1e-3, 1e-2, 0.1, 1 / 60, 1 / 12, 1 / 24, 0.3048, 0.3937, 0.4536, 0.5, 0.6214,
    1.6093, 2.0, 2.2046, 2.54, 3.2808, 10.0, 12.0, 24.0, 60.0, 100.0, 1e3, 3600.0, 1e6,
)  # fmt: skip
"""Factors between units of length, mass, time, money and count that are commonly confused."""
ALIKE = 0.2
"""Log ratio within which a factor read off the window is taken for the nearest common one."""
SPREADS = (-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0)
NOISES = (0.25, 0.5, 1.0, 2.0, 4.0)
COUPLINGS = (1.0, 0.8, 0.5, 0.0, -1.0)
MOST_COPIES = 40
SURELY = 1.645
"""Standard errors of one row by which a category must have gained to be drawn from."""
SPELLINGS = 60
"""Categories, known and unseen, whose spellings are compared, most frequent first."""
ALIKE_SPELT = 0.6
"""Share of letter pairs that two spellings of one category have in common, at least."""
DONORS = 400


@dataclass(frozen=True)
class Pair:
    """A column's values in reference and window, and all columns of its type by name, as reference has them."""

    name: str
    reference: Values
    window: Values
    others: Mapping[str, Values]


def dictionary(pair: Pair) -> list[Operator]:
    """Return the operators that may explain what happened to a column."""
    operators = _missing(pair) + _copies(pair) + [Operator("permute")]
    if pair.reference.dtype == object:
        return operators + _for_categories(pair)
    return operators + _for_numbers(pair)


def _missing(pair: Pair) -> list[Operator]:
    return [Operator("missing")] if _absent(pair.window).mean() > _absent(pair.reference).mean() else []


def _absent(values: Values) -> NDArray[np.bool_]:
    if values.dtype == object:
        return np.array([v is None for v in values])
    return np.asarray(np.isnan(values.astype(float)))


def _copies(pair: Pair) -> list[Operator]:
    names = [n for n in pair.others if n != pair.name][:MOST_COPIES]
    return [Operator("copy", column=n) for n in names]


def _for_numbers(pair: Pair) -> list[Operator]:
    before = pair.reference[~_absent(pair.reference)].astype(float)
    after = pair.window[~_absent(pair.window)].astype(float)
    if len(before) == 0 or len(after) == 0:
        return []
    spread = float(before.std()) or 1.0
    out = [Operator("scale", f) for f in (*FACTORS, -1.0, *_ratios(before, after))]
    out += [Operator("offset", s * spread) for s in SPREADS]
    out += [Operator("offset", float(np.median(after) - np.median(before)))]
    out += [Operator("noise", s * spread) for s in NOISES]
    for atom in _atoms(before, after):
        out.append(Operator("constant", atom, donors=np.array([atom])))
        out += [Operator("ceiling", atom), Operator("floor", atom)]
    out += _roundings(before, after)
    excess = excess_donors(before, after)
    out += [Operator("redraw", coupling=c, donors=excess) for c in (1.0, 0.0, -1.0) if len(excess)]
    whole = _thin(np.sort(after))
    return out + [Operator("transport", coupling=c, donors=whole) for c in COUPLINGS]


def _ratios(before: Floats, after: Floats) -> list[float]:
    """Return factors by which the middle and the spread of the column have changed."""
    low, high = np.quantile(before, [0.25, 0.75]), np.quantile(after, [0.25, 0.75])
    pairs = [(np.median(before), np.median(after)), (low[1] - low[0], high[1] - high[0])]
    found = [float(b / a) for a, b in pairs if a != 0 and b != 0 and abs(b / a - 1) > 0.02]
    common = ((-1.0,), FACTORS)
    return [r for r in found if min(abs(np.log(r / f)) for f in common[int(r > 0)]) > ALIKE]


def _atoms(before: Floats, after: Floats) -> list[float]:
    """Return up to three values that became far more frequent than they were."""
    values, counts = np.unique(after, return_counts=True)
    share = counts / len(after)
    lively = share > 0.02
    values, share = values[lively], share[lively]
    old = np.array([(before == v).mean() for v in values])
    error = np.sqrt(np.maximum(share, old) * (1 / len(after) + 1 / len(before)))
    order = np.argsort(-(share - old))
    return [float(values[i]) for i in order[:3] if share[i] - old[i] > max(0.02, 4 * error[i])]


def _roundings(before: Floats, after: Floats) -> list[Operator]:
    """Return roundings to the steps that the window's most frequent values suggest."""
    values, counts = np.unique(after, return_counts=True)
    common = values[counts >= max(3, 0.01 * len(after))]
    if len(common) < 2 or len(np.unique(before)) < 2 * len(common):
        return []
    return [Operator("rounding", float(np.median(np.diff(common))))]


def excess_donors(before: Floats, after: Floats) -> Floats:
    """Return values, sorted, drawn from where the window has more mass than the reference."""
    edges = np.unique(np.quantile(np.concatenate([before, after]), np.linspace(0, 1, 41)[1:-1]))
    old = np.bincount(np.searchsorted(edges, before, "right"), minlength=len(edges) + 1) / len(before)
    cell = np.searchsorted(edges, after, "right")
    new = np.bincount(cell, minlength=len(edges) + 1) / len(after)
    surplus = np.maximum(new - old - 2 * np.sqrt(old / len(after)), 0.0)
    weight = (surplus / np.maximum(new, 1e-12))[cell]
    if weight.sum() < 0.01 * len(after):
        return np.zeros(0)
    order = np.argsort(after, kind="stable")
    mass = np.cumsum(weight[order]) / weight.sum()
    places = (np.arange(DONORS) + 0.5) / DONORS
    return after[order][np.minimum(np.searchsorted(mass, places), len(after) - 1)]


def _thin(ordered: Floats) -> Floats:
    places = (np.arange(DONORS) + 0.5) / DONORS * len(ordered)
    return ordered[places.astype(int)] if len(ordered) > DONORS else ordered


def _for_categories(pair: Pair) -> list[Operator]:
    before, old = np.unique(pair.reference[~_absent(pair.reference)].astype(str), return_counts=True)
    after, new = np.unique(pair.window[~_absent(pair.window)].astype(str), return_counts=True)
    share_before = dict(zip(before, old / max(len(pair.reference), 1), strict=True))
    share = {c: k / len(pair.window) for c, k in zip(after, new, strict=True)}
    surplus = {c: s - share_before.get(c, 0.0) for c, s in share.items()}
    out = _constants(surplus, len(pair.window)) + _redraws(surplus, len(pair.window))
    unseen = sorted((str(c) for c in after if c not in share_before), key=lambda c: (-share[c], c))[
        :SPELLINGS
    ]
    known = sorted((str(c) for c in before), key=lambda c: (-share_before[c], c))[:SPELLINGS]
    mapping = _respelled(known, unseen)
    if mapping:
        out.append(Operator("recode", mapping=mapping, column="respelled"))
    swapped = _rank_matched(share_before, share)
    if swapped:
        out.append(Operator("recode", mapping=swapped))
    return out


def _constants(surplus: dict[str, float], rows: int) -> list[Operator]:
    top = sorted(surplus, key=lambda c: (-surplus[c], c))[:3]
    noise = 4.0 / np.sqrt(rows)
    return [
        Operator("constant", donors=np.array([c], dtype=object)) for c in top if surplus[c] > min(0.1, noise)
    ]


def _redraws(surplus: dict[str, float], rows: int) -> list[Operator]:
    gained = {c: s for c, s in surplus.items() if s > SURELY / rows}
    total = sum(gained.values())
    if total < 0.01:
        return []
    counts = [max(1, round(DONORS * s / total)) for s in gained.values()]
    return [Operator("redraw", donors=np.repeat(np.array(list(gained), dtype=object), counts))]


def _respelled(known: list[str], unseen: list[str]) -> tuple[tuple[str, str], ...]:
    """Return known category to unseen spelling, where their letters (or all but a few) agree."""
    out: dict[str, str] = {}
    pairs = {word: _letter_pairs(word) for word in known}
    for word in unseen:
        here = _letter_pairs(word)
        best = max(known, key=lambda k: _similarity(pairs[k], here), default=None)
        if best is not None and best not in out and _similarity(pairs[best], here) >= ALIKE_SPELT:
            out[best] = word
    return tuple(sorted(out.items()))


def _similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of letter pairs that two words have in common (Dice coefficient)."""
    return 2 * len(one & other) / max(len(one) + len(other), 1)


def _letter_pairs(word: str) -> frozenset[str]:
    """Return a word's pairs of letters, case and spaces ignored."""
    plain = "^" + "".join(word.lower().split()) + "$"
    return frozenset(plain[i : i + 2] for i in range(max(len(plain) - 1, 1)))


def _rank_matched(before: dict[str, float], after: dict[str, float]) -> tuple[tuple[str, str], ...]:
    """Return a recoding of known categories that makes the shares agree, by their order in size."""
    if len(before) < 2 or not set(after) <= set(before) or len(before) > 30:
        return ()
    old = sorted(before, key=lambda c: (-before[c], c))
    new = sorted(before, key=lambda c: (-after.get(c, 0.0), c))
    return tuple((a, b) for a, b in zip(old, new, strict=True) if a != b)
