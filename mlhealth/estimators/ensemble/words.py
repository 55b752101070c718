"""Explanations in words, for the person on call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.ensemble.diagnosis import Treated
from mlhealth.estimators.ensemble.explanations import Bench, Candidate
from mlhealth.estimators.ensemble.operators import Operator
from mlhealth.estimators.ensemble.screening import Movement
from mlhealth.records import ColumnFault

ALWAYS = 0.9
"""Fraction of rows from which a fault is said without its fraction."""


@dataclass(frozen=True)
class Explanation:
    """What happened to a window, or to some of its columns: `kind` names the failure as `mlhealth.corrupt` does.

    `share`: of the rows that it happened to, 0 to 1. `is_fault`: a break rather than a shift of traffic.
    """

    kind: str
    columns: tuple[str, ...]
    text: str
    share: float = 1.0
    is_fault: bool = True


def explain(candidate: Candidate, bench: Bench, movement: Movement) -> tuple[Explanation, ...]:
    """Return what a candidate says happened, faults first; empty where nothing did."""
    found = explain_faults(candidate.treated)
    if candidate.weighting == "label":
        found.append(Explanation("label shift", (), _label_words(candidate, bench), is_fault=False))
    if candidate.weighting == "covariate":
        moved = [c for c, _ in _most_moved(movement) if c not in {t.name for t in candidate.treated}][:3]
        where = f", most in {_listed(moved)}" if moved else ""
        text = f"the mix of rows has shifted{where}"
        found.append(Explanation("covariate shift", tuple(moved), text, is_fault=False))
    return tuple(found)


def sentence(explanations: Sequence[Explanation]) -> str | None:
    """Return all explanations in one line, or None where there is nothing to say."""
    return "; ".join(e.text for e in explanations) or None


def column_faults(explanations: Sequence[Explanation]) -> tuple[ColumnFault, ...]:
    """Return the faults that explanations tell of, one for each column, in their order."""
    return tuple(
        ColumnFault(column, e.kind, e.share, e.text)
        for e in explanations
        if e.is_fault
        for column in e.columns
    )


def _most_moved(movement: Movement) -> list[tuple[str, float]]:
    size = np.maximum(movement.marginal, movement.missing)
    return [(movement.columns[j], float(size[j])) for j in np.argsort(-size, kind="stable") if size[j] > 2.0]


def _label_words(candidate: Candidate, bench: Bench) -> str:
    total = candidate.weight.sum()
    after = np.bincount(bench.groups.group, candidate.weight, len(bench.groups.shares)) / total
    if not candidate.rows.schema.is_classification:
        low, high = bench.groups.shares @ np.arange(len(after)), after @ np.arange(len(after))
        return f"true values have become {'larger' if high > low else 'smaller'} than they were"
    most = int(np.argmax(np.abs(after - bench.groups.shares)))
    name = candidate.rows.schema.classes[most]
    return f"the share of class {name} has moved from {_percent(bench.groups.shares[most])} to {_percent(after[most])}"


def explain_faults(treated: Sequence[Treated]) -> list[Explanation]:
    """Return what was done to columns, what needs several of them first, then the most changed."""
    led = [(t.name, *t.operators[0]) for t in sorted(treated, key=lambda t: (-t.before, t.name))]
    out, told = _joint(led)
    out += [_one(name, operator, fraction) for name, operator, fraction in led if name not in told]
    return out


Led = tuple[str, Operator, float]


def _joint(led: Sequence[Led]) -> tuple[list[Explanation], set[str]]:
    """Return explanations that need several columns: swaps, and columns joined to the wrong rows."""
    out, told = [], set()
    copies = {name: (o.column, q) for name, o, q in led if o.kind == "copy"}
    for one, (other, fraction) in sorted(copies.items()):
        if copies.get(other, ("", 0.0))[0] == one and one < other:
            text = f"{one} and {other} are swapped{_in_rows(fraction)}"
            out.append(Explanation("swapped columns", (one, other), text, fraction))
            told |= {one, other}
    strays = sorted(name for name, o, _ in led if o.kind == "permute")
    if len(strays) > 1:
        fraction = float(np.mean([q for name, _, q in led if name in strays]))
        text = f"{_listed(strays)} are joined to the wrong rows{_in_rows(fraction)}"
        out.append(Explanation("misaligned join", tuple(strays), text, fraction))
        told |= set(strays)
    return out, told


def _one(name: str, operator: Operator, fraction: float) -> Explanation:
    kind, text = _say(name, operator, fraction)
    return Explanation(kind, (name,), text, fraction)


def _say(name: str, operator: Operator, fraction: float) -> tuple[str, str]:
    rows = _in_rows(fraction)
    if operator.kind == "missing":
        return (
            "missing",
            f"{_percent(fraction)} of {name} is missing" if fraction < ALWAYS else f"{name} is missing",
        )
    if operator.kind == "scale":
        return _scaled(name, operator.number, rows)
    if operator.kind == "recode" and operator.column:
        return "typos", f"categories of {name} are spelt in ways never seen{rows}"
    if operator.kind in ("redraw", "transport"):
        return _changed(name, operator, rows)
    simple = {
        "offset": ("offset", f"{name} is off by {operator.number:+.4g}{rows}"),
        "noise": ("noise", f"{name} is noisy{rows}"),
        "constant": ("stuck constant", f"{name} is stuck at {_value(operator.donors)}{rows}"),
        "ceiling": ("clipped", f"{name} is cut off above {operator.number:.4g}{rows}"),
        "floor": ("clipped", f"{name} is cut off below {operator.number:.4g}{rows}"),
        "rounding": ("rounding", f"{name} is rounded to steps of {operator.number:.4g}{rows}"),
        "copy": ("swapped columns", f"{name} holds the values of {operator.column}{rows}"),
        "permute": ("permuted column", f"{name} no longer belongs to its row{rows}"),
        "recode": ("recoded categories", f"the categories of {name} are exchanged{rows}"),
    }
    return simple[operator.kind]


def _scaled(name: str, factor: float, rows: str) -> tuple[str, str]:
    if factor == -1.0:
        return "sign flip", f"{name} has the wrong sign{rows}"
    size = abs(factor) if abs(factor) >= 1 else 1 / max(abs(factor), 1e-300)
    return (
        "unit error",
        f"{name} arrives {float(f'{size:.3g}'):g}x too {'large' if abs(factor) >= 1 else 'small'}{rows}",
    )


def _changed(name: str, operator: Operator, rows: str) -> tuple[str, str]:
    if operator.donors.dtype == object:
        return "unseen category", f"{name} holds categories that were not there before{rows}"
    if operator.kind == "redraw" and abs(operator.coupling) < 0.5:
        return "outliers", f"{name} holds values unrelated to what they should be{rows}"
    return "changed values", f"{name} has left its range{rows}"


def _value(donors: NDArray[np.generic]) -> str:
    if len(donors) == 0:
        return ""
    one = donors[0]
    return str(one) if isinstance(one, str) else f"{float(one):.6g}"


def _in_rows(fraction: float) -> str:
    return "" if fraction >= ALWAYS else f" in {_percent(fraction)} of rows"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
