"""Windows made up from labelled reference rows: plain, shifted and broken, with the labels known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlhealth.corrupt import corrupt, kinds
from mlhealth.errors import DataError
from mlhealth.estimators.ensemble.encoding import Encoding
from mlhealth.estimators.ensemble.outputs import OutputSpace
from mlhealth.estimators.ensemble.surrogate import Design, Surrogate
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.shifts import Population, resample, shift_kinds

PLAIN, SHIFTED = 0.25, 0.25
"""Shares of made-up windows that are drawn as they are, and reweighted; the rest is broken."""


@dataclass(frozen=True)
class MadeUp:
    """What to make: how many windows, of how many rows each, from which seed."""

    windows: int = 60
    rows: int = 400
    seed: int = 0


def made_up_windows(reference: Rows, scorer: Scorer | None, plan: MadeUp) -> list[Rows]:
    """Return labelled windows drawn from reference rows; broken rows are answered by `scorer`.

    Without a scorer a stand-in distilled from the reference's own predictions answers.
    """
    rng = np.random.default_rng(plan.seed)
    population = Population(reference.features, reference.label)
    names, breaks = sorted(shift_kinds()), sorted(kinds())
    drawn: list[Rows] = []
    broken: list[tuple[int, pd.DataFrame]] = []
    for i in range(plan.windows):
        fate = rng.random()
        kind = "iid" if not PLAIN <= fate < PLAIN + SHIFTED else names[int(rng.integers(len(names)))]
        rows = reference.take(resample(population, kind, plan.rows, rng))
        drawn.append(rows)
        if fate >= PLAIN + SHIFTED:
            frame = _broken(rows.features, breaks, rng)
            if frame is not None:
                broken.append((i, frame))
    if broken:
        _answer(drawn, broken, scorer or stand_in(reference, plan.seed))
    return drawn


def joined(windows: list[Rows]) -> Rows:
    """Return the labelled rows of all windows, one after the other."""
    scores = [w.scores for w in windows if w.scores is not None]
    return Rows(
        windows[0].schema,
        pd.concat([w.features for w in windows], ignore_index=True),
        np.concatenate([w.prediction for w in windows]),
        np.vstack(scores) if scores else None,
        np.concatenate([w.label for w in windows if w.label is not None]),
    )


def _broken(features: pd.DataFrame, names: list[str], rng: np.random.Generator) -> pd.DataFrame | None:
    held = features.loc[:, features.notna().any()]  # a column without any value has nothing to break
    if held.shape[1] == 0:
        return None
    for _ in range(10):
        kind = names[int(rng.integers(len(names)))]
        try:
            treated = corrupt(held, kind, rng=rng, fraction=float(rng.uniform(0.1, 1.0))).features
        except DataError:  # this table has no columns of the sort that the kind works on
            continue
        return treated.reindex(columns=features.columns)
    return None


def _answer(drawn: list[Rows], broken: list[tuple[int, pd.DataFrame]], scorer: Scorer) -> None:
    """Replace the drawn windows that were broken, asking the scorer once for all their rows."""
    prediction, scores = scorer(pd.concat([frame for _, frame in broken], ignore_index=True))
    start = 0
    for i, frame in broken:
        at = slice(start, start + len(frame))
        start += len(frame)
        schema = drawn[i].schema
        part = None if scores is None else scores[at]
        if schema.is_classification:
            drawn[i] = Rows(schema, frame, prediction[at].astype(np.int64), part, drawn[i].label)
        else:
            drawn[i] = Rows(schema, frame, prediction[at].astype(np.float64), part, drawn[i].label)


def stand_in(reference: Rows, seed: int) -> Scorer:
    """Return a scorer distilled from the reference's predictions: the mean of a ridge and a boosted stand-in."""
    space = OutputSpace.of(reference)
    design = Design.of(Encoding.of(reference))
    fitted = Surrogate.fit(design, space, reference.features, space.numbers(reference), seed=seed)
    return lambda features: space.answers(
        (fitted.linear_numbers(features) + fitted.tree_numbers(features)) / 2.0
    )
