"""*What costs accuracy*: which features, had they kept their training distribution, and which segments of the rows.

A model of each row's loss is learnt from the labelled reference rows (two folds, so that reference rows are judged by
the half that did not see them). A feature's cost is how much the window's expected loss falls when its rows are
weighted back to the feature's reference distribution. A broken feature cannot be weighted back: it bears what the
ensemble's estimate says is lost beyond that. A segment's cost is its part of the difference between window and
reference, w (l - L) - r (m - L): shares w and r of the rows, losses l and m in it, now and then, and the reference's
loss L.

Segments are sought over the configured columns and automatic bins of every feature, and over pairs of the worst ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.estimators.rows import Rows
from mlhealth.objective import Objective
from mlhealth.records import Cost, PerformanceEstimate

MOST_ROWS = 8_000
"""Reference rows that are learnt from at most."""
QUARTERS, TENTHS = 4, 10
"""Bins of numeric features: of segments, and of weights."""
MOST_CATEGORIES = 12
HEAVIEST = 20.0
"""Weight of a window row at most."""
UNSUPPORTED = 0.3
"""Share of the reference without counterpart in the window from which a feature cannot be weighted back."""
LEAST_SHARE = 0.02
WHOLE = 0.9
SURE = 2.0
"""Standard errors by which a segment's cost must exceed nothing."""
PAIRED = 6
"""Worst single conditions that are tried in pairs."""
SHOWN = 5
"""Features and segments kept at most."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Segment:
    """A condition on rows, with the mask of the reference rows and of the window rows that meet it."""

    name: str
    features: tuple[str, ...]
    before: Mask
    after: Mask

    @property
    def is_whole(self) -> bool:
        """Whether nearly all rows meet the condition, now and before: that is no segment."""
        return bool(min(self.after.mean(), self.before.mean()) > WHOLE)

    def is_cut_by(self, other: Segment) -> bool:
        """Whether both conditions together are met by clearly fewer rows than either alone."""
        both = int((self.after & other.after).sum())
        return both < WHOLE * min(int(self.after.sum()), int(other.after.sum()))

    def within(self, other: Segment) -> Segment:
        """Return the rows that meet both conditions."""
        features = tuple(dict.fromkeys((*self.features, *other.features)))
        return Segment(
            f"{self.name} and {other.name}", features, self.before & other.before, self.after & other.after
        )


@dataclass(frozen=True)
class Asked:
    """What is known of a window beside its rows: the estimate, and which share of each broken column's values broke.

    `segments`: configured columns.
    """

    estimate: PerformanceEstimate | None
    broken: Mapping[str, float] = field(default_factory=dict)
    segments: Sequence[str] = ()


class CostModel:
    """Row losses learnt from labelled reference rows; built when first asked, and kept."""

    def __init__(self, reference: Rows, objective: Objective, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        kept = np.sort(rng.permutation(len(reference))[:MOST_ROWS])
        self._reference = reference.take(kept)
        self._metric = objective.metric if objective.metric in {"accuracy", "mae"} else _plain(reference)
        self._told = objective.metric == self._metric
        self._loss = _losses(self._reference)
        self._codes = {
            name: _categories(self._reference.features[name]) for name in reference.schema.categorical
        }
        self._folds = rng.permutation(len(self._reference)) % 2
        matrix = self._matrix(self._reference)
        self._models = [_fitted(matrix[self._folds != k], self._loss[self._folds != k], seed) for k in (0, 1)]
        both = np.stack([model.predict(matrix) for model in self._models])
        self._usual = both[self._folds, np.arange(len(matrix))]

    def costs(self, window: Rows, asked: Asked) -> tuple[Cost, ...]:
        """Return what costs the window's metric: features, then segments, the dearest first."""
        matrix = self._matrix(window)
        expected = np.mean([model.predict(matrix) for model in self._models], axis=0)
        # Both sides by the same model: what it gets wrong alike on both cancels.
        expected = expected + (float(self._loss.mean()) - float(self._usual.mean()))
        beyond = self._beyond(expected, asked.estimate)
        lost = beyond + float(expected.mean()) - float(self._loss.mean())
        features = self._features(window, expected, lost, asked.broken)
        # A broken column's own values say nothing of which rows are hard.
        names = dict.fromkeys((*asked.segments, *window.schema.feature_names))
        sound = [name for name in names if name not in asked.broken]
        return (*features, *self._segments(window, expected + beyond, sound))

    def _beyond(self, expected: Floats, estimate: PerformanceEstimate | None) -> float:
        """Return the loss that the ensemble sees beyond what the mix of rows makes likely."""
        if not self._told or estimate is None or estimate.value is None or estimate.reference is None:
            return 0.0
        lost = estimate.value - estimate.reference
        lost = -lost if self._metric == "accuracy" else lost
        return lost - (float(expected.mean()) - float(self._loss.mean()))

    def _features(
        self, window: Rows, expected: Floats, lost: float, broken: Mapping[str, float]
    ) -> list[Cost]:
        names = window.schema.feature_names
        costs = {name: self._mix_cost(window, expected, name) for name in names if name not in broken}
        # What no sound feature accounts for is shared by the broken ones, by how much of them broke.
        left = max(lost - max([0.0, *costs.values()]), 0.0)
        total = sum(broken.values())
        costs |= {name: left * share / total for name, share in broken.items() if share > 0.0}
        error = float(np.std(self._loss)) / np.sqrt(max(len(window), 1))
        found = [Cost("feature", name, (name,), self._metric, cost) for name, cost in costs.items()]
        dear = [c for c in found if c.cost > 0.5 * error]
        return sorted(dear, key=lambda c: (-c.cost, c.name))[:SHOWN]

    def _mix_cost(self, window: Rows, expected: Floats, name: str) -> float:
        before, after = self._bins(window, name, TENTHS)
        size = max(int(max(before.max(initial=0), after.max(initial=0))) + 1, 1)
        p = np.bincount(before, minlength=size) / max(len(before), 1)
        q = np.bincount(after, minlength=size) / max(len(after), 1)
        if p[q < 0.05 * p].sum() > UNSUPPORTED:
            return 0.0
        weight = np.minimum(p / np.maximum(q, 1e-9), HEAVIEST)[after]
        return float(expected.mean() - (weight @ expected) / max(float(weight.sum()), 1e-9))

    def _segments(self, window: Rows, expected: Floats, names: Sequence[str]) -> list[Cost]:
        known = [n for n in names if n in window.features and n in self._reference.features]
        single = [s for name in known for s in self._conditions(window, name) if not s.is_whole]
        ranked = sorted(single, key=lambda s: -self._surety(s, expected))[:PAIRED]
        pairs = [
            a.within(b) for i, a in enumerate(ranked) for b in ranked[i + 1 :] if a.features != b.features
        ]
        worst = sorted((*single, *pairs), key=lambda s: (-self._surety(s, expected), s.name))
        return [self._told_of(s, expected) for s in worst[:SHOWN] if self._surety(s, expected) > SURE]

    def _surety(self, segment: Segment, expected: Floats) -> float:
        """Return a segment's cost in standard errors; nothing where it is too small to matter, or easy.

        That an easy segment shrank costs accuracy too, but it is told by the hard ones that grew in its place.
        """
        share, usual = float(segment.after.mean()), float(segment.before.mean())
        if share < LEAST_SHARE or float(expected[segment.after].mean()) <= float(self._loss.mean()):
            return -np.inf
        spread = float(np.std(self._loss)) or 1e-9
        error = spread * np.sqrt(share / len(expected) + usual / len(self._loss))
        return self._cost(segment, expected) / float(error)

    def _cost(self, segment: Segment, expected: Floats) -> float:
        typical = float(self._loss.mean())
        now = float((expected[segment.after] - typical).sum()) / max(len(expected), 1)
        return now - float((self._loss[segment.before] - typical).sum()) / len(self._loss)

    def _told_of(self, segment: Segment, expected: Floats) -> Cost:
        now = float(expected[segment.after].mean())
        before = float(self._loss[segment.before].mean()) if segment.before.any() else None
        value, reference = (self._value(now), None if before is None else self._value(before))
        return Cost(
            "segment",
            segment.name,
            segment.features,
            self._metric,
            self._cost(segment, expected),
            float(segment.after.mean()),
            float(segment.before.mean()),
            value,
            reference,
        )

    def _value(self, loss: float) -> float:
        return float(np.clip(1.0 - loss, 0.0, 1.0)) if self._metric == "accuracy" else max(loss, 0.0)

    def _conditions(self, window: Rows, name: str) -> Iterator[Segment]:
        before, after = self._bins(window, name, QUARTERS)
        for place, told in self._names(name):
            yield Segment(told, (name,), before == place, after == place)

    def _bins(self, window: Rows, name: str, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        old, new = self._reference.features[name], window.features[name]
        if name in window.schema.numeric:
            edges = _edges(old, count)
            return _slots(old, edges), _slots(new, edges)
        known = self._codes[name] if name in self._codes else _categories(old)
        return _codes(old, known), _codes(new, known)

    def _names(self, name: str) -> list[tuple[int, str]]:
        old = self._reference.features[name]
        if name in self._reference.schema.numeric:
            edges = _edges(old, QUARTERS)
            places = [(i, _range(name, edges, i)) for i in range(len(edges) + 1)]
            return [*places, (len(edges) + 1, f"{name} is missing")]
        known = self._codes[name] if name in self._codes else _categories(old)
        told = [(i, f"{name} = {category}") for i, category in enumerate(known)]
        return [*told, (len(known), f"{name} is another value"), (len(known) + 1, f"{name} is missing")]

    def _matrix(self, rows: Rows) -> Floats:
        columns = [
            rows.features[name].to_numpy(np.float64)
            if name in rows.schema.numeric
            else _codes(rows.features[name], self._codes[name]).astype(np.float64)
            for name in rows.schema.feature_names
        ]
        columns.append(np.asarray(rows.prediction, dtype=np.float64))
        if rows.scores is not None:
            columns.append(rows.scores.max(axis=1))
        return np.where(np.isfinite(stacked := np.column_stack(columns)), stacked, np.nan)


def _plain(reference: Rows) -> str:
    return "accuracy" if reference.schema.is_classification else "mae"


def _losses(rows: Rows) -> Floats:
    assert rows.label is not None
    if rows.schema.is_classification:
        return np.asarray(rows.prediction != rows.label, dtype=np.float64)
    return np.abs(np.asarray(rows.prediction, np.float64) - np.asarray(rows.label, np.float64))


def _fitted(matrix: Floats, loss: Floats, seed: int):  # type: ignore[no-untyped-def]
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=60,
        max_leaf_nodes=12,
        min_samples_leaf=40,
        learning_rate=0.08,
        early_stopping=False,
        random_state=seed,
    )
    return model.fit(matrix, loss)


def _categories(values: pd.Series) -> list[str]:
    return [str(name) for name in values.dropna().astype(str).value_counts().index[:MOST_CATEGORIES]]


def _codes(values: pd.Series, known: Sequence[str]) -> NDArray[np.intp]:
    places = pd.Index(list(known)).get_indexer(pd.Index(values.astype(object).where(values.notna(), None)))
    return np.where(values.isna().to_numpy(), len(known) + 1, np.where(places < 0, len(known), places))


def _edges(values: pd.Series, count: int) -> Floats:
    finite = values.to_numpy(np.float64)
    finite = finite[np.isfinite(finite)]
    return (
        np.unique(np.quantile(finite, np.linspace(0.0, 1.0, count + 1)[1:-1])) if len(finite) else np.zeros(0)
    )


def _slots(values: pd.Series, edges: Floats) -> NDArray[np.intp]:
    numbers = values.to_numpy(np.float64)
    return np.where(np.isfinite(numbers), np.searchsorted(edges, numbers, side="right"), len(edges) + 1)


def _range(name: str, edges: Floats, place: int) -> str:
    if len(edges) == 0:
        return f"{name} has a value"
    if place == 0:
        return f"{name} below {edges[0]:.4g}"
    if place == len(edges):
        return f"{name} from {edges[-1]:.4g}"
    return f"{name} from {edges[place - 1]:.4g} to {edges[place]:.4g}"
