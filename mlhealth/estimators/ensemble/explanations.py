"""The competing explanations of a window, each as the labelled reference it predicts, and how they compare.

An explanation is a treatment of the reference's columns (none, or a replay of what broke) and weights of its rows
(none, by the columns, or by the label). It is judged by how well its weighted, treated reference can still be told
from the window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mlhealth.estimators.ensemble import distance
from mlhealth.estimators.ensemble.diagnosis import Treated
from mlhealth.estimators.ensemble.expectation import squares
from mlhealth.estimators.ensemble.labels import LabelGroups
from mlhealth.estimators.ensemble.outputs import OutputSpace
from mlhealth.estimators.ensemble.replay import Memory
from mlhealth.estimators.ensemble.weights import covariate_weights, label_evidence, label_mix
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
CHARGES = {"": 0.0, "covariate": 0.02, "label": 0.004}
"""What weights must gain in separation before they are preferred to none."""
REPLAY_CHARGE = 0.01
"""What a replay must gain."""
LABEL_BONUS = 0.015
"""Separation that full evidence of moved label shares is worth, halved."""
MOST_SHOWN = 60
"""Columns that explanations are judged by, at most."""
MOST_LOST = 0.8
"""Share of its belief that a weighting loses at most for what it leaves unexplained."""
TEMPERATURE = 0.008
"""Difference in separation, for a window of 500 rows, that makes an explanation 2.7 times as likely."""


@dataclass(frozen=True)
class Candidate:
    """One explanation: `treated` columns, weights by `weighting` ("", "covariate" or "label"), and its verdict.

    `rows`: the labelled reference as treated, with what the model answers to it. `separation`: AUC with which it can
    be told from the window. `remaining`: mean distance left of the columns. `evidence`: of moved label
    shares, 0 for other explanations. `belief`: its share among all candidates.
    """

    treated: tuple[Treated, ...]
    weighting: str
    rows: Rows
    weight: Floats
    separation: float
    remaining: float = 0.0
    evidence: float = 0.0
    belief: float = 0.0

    @property
    def charge(self) -> float:
        """Its separation with what its freedom costs; `remaining` decides where all separations are near 1.

        The likelihood sees a small change of the label mix better than the discriminant does: its `evidence` counts
        for a label explanation that leaves nothing unexplained.
        """
        freedom = CHARGES[self.weighting] + (REPLAY_CHARGE if self.treated else 0.0)
        complete = float(np.clip(1.0 - self.misfit / 0.12, 0.0, 1.0))
        return max(self.separation, 0.5) + self.remaining + freedom - LABEL_BONUS * self.evidence * complete

    @property
    def named(self) -> bool:
        """Whether every treated column has a definite fault, rather than values drawn from the window."""
        return all(t.operators[0][0].named for t in self.treated if t.operators)

    @property
    def misfit(self) -> float:
        """How much of the window it leaves unexplained, 0 to 1."""
        return 2.0 * max(self.separation - 0.5, 0.0)


@dataclass(frozen=True)
class Seen:
    """Rows as the discriminant sees them (n, m), and as covariate weights are learnt from them (n, 2(d + p))."""

    features: Floats
    view: Floats


@dataclass(frozen=True)
class Bench:
    """What candidates are judged on: the reference's memory, label groups, and the window as numbers."""

    memory: Memory
    groups: LabelGroups
    space: OutputSpace
    grids: tuple[Floats, ...]
    order: NDArray[np.intp]
    rowwise: Callable[[Rows], Floats] | None = None
    """P(class | row) of untreated rows by a model of all columns, sharper than scores alone, if there is one."""

    @classmethod
    def of(cls, memory: Memory, space: OutputSpace, rowwise: Callable[[Rows], Floats] | None = None) -> Bench:
        """Prepare a bench for reference rows."""
        numbers = space.numbers(memory.rows)
        grids = tuple(np.sort(numbers[:, j]) for j in range(numbers.shape[1]))
        telling = np.abs(_correlation(memory.scores, numbers)).max(axis=1)
        return cls(
            memory, LabelGroups.of(memory.rows), space, grids, np.argsort(-telling, kind="stable"), rowwise
        )

    def outputs(self, rows: Rows) -> Floats:
        """Return normal scores of what the model answered, (n, p)."""
        numbers = self.space.numbers(rows)
        ranks = [
            (np.searchsorted(g, numbers[:, j], "left") + np.searchsorted(g, numbers[:, j], "right"))
            / (2 * len(g))
            for j, g in enumerate(self.grids)
        ]
        return np.asarray(ndtri(np.clip(np.column_stack(ranks), 1e-3, 1 - 1e-3)))

    @cached_property
    def reference_seen(self) -> Seen:
        """The untreated reference as numbers."""
        return self._seen(self.memory.rows, self.memory.scores)

    def seen(self, rows: Rows) -> Seen:
        """Return rows as numbers."""
        if rows is self.memory.rows:
            return self.reference_seen
        return self._seen(rows, self.memory.encoding.normal_scores(rows.features))

    def _seen(self, rows: Rows, columns: Floats) -> Seen:
        scores = np.hstack([columns[:, self.shown], self.outputs(rows)])
        names = [self.memory.encoding.columns[j] for j in self.shown]
        return Seen(distance.features(self.memory.encoding, rows.features, scores, names), squares(scores))

    @property
    def shown(self) -> NDArray[np.intp]:
        """The columns that explanations are judged by, most telling of the model's output first."""
        return self.order[:MOST_SHOWN]


def _correlation(scores: Floats, numbers: Floats) -> Floats:
    one = (scores - scores.mean(0)) / np.maximum(scores.std(0), 1e-9)
    other = (numbers - numbers.mean(0)) / np.maximum(numbers.std(0), 1e-9)
    return np.asarray(one.T @ other / len(scores))


def candidates(
    bench: Bench, window: Rows, treatments: Sequence[tuple[tuple[Treated, ...], Rows]]
) -> list[Candidate]:
    """Return every explanation of the window, judged; `treatments`: treated columns with the rows they give."""
    seen = bench.seen(window)
    even = half_of(seen.features)
    found = []
    for treated, rows in treatments:
        own = bench.seen(rows)
        for weighting, weigh in _weightings(bench, rows, window, (own.view, seen.view)).items():
            halves = (weigh(even), weigh(~even))
            apart = distance.separation(own.features, halves, (seen.features, even))
            weight = weigh(np.ones(len(window), bool))
            left = distance.remaining(
                own.features, weight, seen.features, len(bench.shown) + len(bench.grids)
            )
            proof = _label_proof(bench, rows, window) if weighting == "label" else 0.0
            found.append(Candidate(treated, weighting, rows, weight, apart, left, proof))
    return believe(found, len(window))


def _label_proof(bench: Bench, rows: Rows, window: Rows) -> float:
    """Return how far the evidence of moved label shares exceeds chance, 0 to 2."""
    posterior = bench.groups.posterior(rows, window)
    return float(np.clip(label_evidence(posterior, bench.groups.shares, len(rows)) - 0.5, 0.0, 2.0))


def half_of(seen: Floats) -> NDArray[np.bool_]:
    """Return half of the rows, (n,), equal (hence adjacent) rows together, lest one half gives the other away."""
    fresh = np.concatenate([[False], (seen[1:] != seen[:-1]).any(axis=1)])
    return np.asarray(np.cumsum(fresh) % 2 == 0)


Weigh = Callable[[NDArray[np.bool_]], Floats]


def _weightings(bench: Bench, rows: Rows, window: Rows, views: tuple[Floats, Floats]) -> dict[str, Weigh]:
    """Return the ways of weighting treated reference rows, each learnt from some of the window's rows."""
    own, view = views
    untreated = rows is bench.memory.rows
    posterior = bench.rowwise(window) if untreated and bench.rowwise else bench.groups.posterior(rows, window)
    return {
        "": lambda mask: np.ones(len(rows)),
        "covariate": lambda mask: covariate_weights(own, view[mask]),
        "label": lambda mask: label_mix(posterior[mask], bench.groups.shares, bench.groups.group).weight,
    }


def believe(found: Sequence[Candidate], rows: int) -> list[Candidate]:
    """Share belief among candidates by their charges, most believed first.

    Weights that leave much of the window unexplained were learnt where the reference has hardly any rows: most of
    their belief goes to the same treatment without weights.
    """
    charge = np.array([c.charge for c in found])
    belief = np.exp(-(charge - charge.min()) / (TEMPERATURE * np.sqrt(500 / max(rows, 1))))
    belief /= belief.sum()
    plain = {id(c.rows): i for i, c in enumerate(found) if c.weighting == ""}
    for i, candidate in enumerate(found):
        if candidate.weighting:
            lost = belief[i] * MOST_LOST * float(np.clip((candidate.misfit - 0.3) / 0.5, 0.0, 1.0))
            belief[i] -= lost
            belief[plain[id(candidate.rows)]] += lost
    ranked = [replace(c, belief=float(b)) for c, b in zip(found, belief, strict=True)]
    return sorted(ranked, key=lambda c: -c.belief)
