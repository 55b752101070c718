"""The fitted heart of `mpp`: from a window to believed explanations and mixed answers, before any interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pandas.util import hash_array

from mlhealth.errors import MlhealthError
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.calibration import fit_calibrator
from mlhealth.estimators.cbpe import CBPE
from mlhealth.estimators.dle import DLE
from mlhealth.estimators.encode import canonical_order, with_outputs
from mlhealth.estimators.ensemble.answers import Answer, Usual, mix
from mlhealth.estimators.ensemble.diagnosis import Treated
from mlhealth.estimators.ensemble.distil import distil
from mlhealth.estimators.ensemble.evidence import Evidence, broken_columns, far_away, outside_support
from mlhealth.estimators.ensemble.explanations import Bench, Candidate, candidates
from mlhealth.estimators.ensemble.outputs import OutputSpace, merged
from mlhealth.estimators.ensemble.replay import Memory, treat
from mlhealth.estimators.ensemble.screening import MARGINAL, Movement, ks_distance, screen
from mlhealth.estimators.ensemble.surrogate import Surrogate
from mlhealth.estimators.ensemble.weights import label_evidence
from mlhealth.estimators.ensemble.witness import fit_witness, witnessed
from mlhealth.estimators.error_model import ErrorModel
from mlhealth.estimators.mpp_row import MPPRow
from mlhealth.estimators.reference import labels
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.estimators.views import RedundantViews

Floats = NDArray[np.float64]
UsualMethods = tuple[CBPE | DLE, MPPRow]
MOST_ROWS = 4_000
"""Window rows that are looked at; of a larger window, a subset that depends on the rows' contents only."""
AGREEMENT = 0.97
"""Share of logged answers that a scorer must reproduce to be believed."""
CHECKED = 300


@dataclass(frozen=True)
class Verdict:
    """What is thought of a window: its answers by metric, explanations by belief, and the movement of its columns."""

    answers: dict[str, Answer | str]
    believed: tuple[Candidate, ...]
    movement: Movement
    quiet: bool
    instead: str = ""
    """Why a stand-in answered where the deployed model could have been asked."""

    @property
    def misfit(self) -> float:
        """How much of the window the believed explanations leave unexplained, 0 to 1."""
        if self.quiet:
            return 0.0
        return float(sum(c.belief * c.misfit for c in self.believed))


@dataclass(frozen=True)
class Core:
    """Reference memory, the methods for windows where nothing moved, and the stand-ins for the deployed model.

    `witness`: for regressors, redundant views for windows that drifted as a whole.
    """

    bench: Bench
    usual: UsualMethods
    surrogate: Surrogate
    metrics: tuple[str, ...]
    seed: int
    witness: RedundantViews | None = None

    @classmethod
    def fit(cls, inputs: FitInputs, surrogate: Surrogate | None = None) -> Core:
        """Learn from checked labelled reference rows; `surrogate`: one already fitted."""
        rows = in_order(inputs.reference)
        inputs = replace(inputs, reference=rows)
        space = OutputSpace.of(rows)
        memory = Memory.of(rows)
        first = calibrated(inputs) if rows.schema.is_classification else DLE.fit(inputs)
        usual: UsualMethods = (first, MPPRow.untouched(inputs))
        if surrogate is None:
            surrogate = distil(inputs, memory.encoding, space)
        bench = Bench.of(memory, space, rowwise(usual))
        witness = fit_witness(inputs, surrogate)
        return cls(bench, usual, surrogate, tuple(inputs.metrics), inputs.seed, witness)

    def judge(self, window: Rows, scorer: Scorer | None = None) -> Verdict:
        """Return what is thought of a window (rows in any order); the scorer is asked only if it is suspicious."""
        window = in_order(window)
        if len(window) > MOST_ROWS:
            window = window.take(np.arange(MOST_ROWS))
        memory = self.bench.memory
        scores = memory.encoding.normal_scores(window.features)
        rows = 1 / len(window) + 1 / len(memory.rows)
        movement = screen(
            memory.encoding, memory.expectations, memory.shares, window.features, (scores, rows)
        )
        textual = np.isin(memory.encoding.columns, memory.encoding.categorical)
        evidence = Evidence(
            movement, outside_support(memory, window), rows, far_away(memory, window), textual
        )
        usual = self.expected(window)
        still = Candidate((), "", memory.rows, np.ones(len(memory.rows)), 0.5, belief=1.0)
        if len(window) < 50 or not (evidence.suspects.any() or self._answers_moved(window)):
            answers = mix([still], window, self.metrics, usual)
            return Verdict(answers, (still,), movement, True)
        broken = tuple(broken_columns(memory, window, scores, evidence, self.seed))
        treatments: list[tuple[tuple[Treated, ...], Rows]] = [((), memory.rows)]
        instead = ""
        if broken:
            replayed, instead = self._replay(broken, window, scorer)
            treatments.append((broken, replayed))
        believed = candidates(self.bench, window, treatments)
        # a regressor's replay that is not sure may itself be drift, and is counted as such
        faults = [t for t in broken if t.sure or window.schema.is_classification]
        usual = replace(usual, moved=_moved(movement, faults), witness=witnessed(self.witness, window))
        return Verdict(mix(believed, window, self.metrics, usual), tuple(believed), movement, False, instead)

    def expected(self, window: Rows) -> Usual:
        """Return what the usual methods answer, as if nothing had moved.

        The first alone, unless there are no scores to calibrate: off the reference's support the row model answers
        far worse, and on it no better.
        """
        without_scores = window.schema.is_classification and window.scores is None
        asked = self.usual if without_scores else self.usual[:1]
        found = [
            {m: e.value for m, e in method.estimate(window).items() if e.value is not None}
            for method in asked
        ]
        known = {m: [f[m] for f in found if m in f] for m in self.metrics}
        mean = {m: float(np.mean(values)) for m, values in known.items() if values}
        reference = {m: v for m, v in self.reference_values.items() if v is not None}
        return Usual(found[0], mean, reference)

    @property
    def reference_values(self) -> Mapping[str, float | None]:
        """Each metric's value on the reference."""
        return self.usual[0].reference.values

    def _answers_moved(self, window: Rows) -> bool:
        """Whether the outputs' distribution, or the class shares that they imply, have moved."""
        numbers, rows = self.bench.space.numbers(window), 1 / len(window) + 1 / len(self.bench.memory.rows)
        worst = max(ks_distance(grid, np.sort(numbers[:, j])) for j, grid in enumerate(self.bench.grids))
        if worst > MARGINAL * float(np.sqrt(rows)):
            return True
        groups, reference = self.bench.groups, self.bench.memory.rows
        return label_evidence(groups.posterior(reference, window), groups.shares, len(reference)) > 1.0

    def _replay(self, broken: Sequence[Treated], window: Rows, scorer: Scorer | None) -> tuple[Rows, str]:
        """Return the reference treated as diagnosed, with what the model answers to it, or why a stand-in does."""
        memory = self.bench.memory
        features = treat(memory, broken, self.seed)
        note = ""
        if scorer is not None:
            try:
                if agrees(scorer, window, self.bench.space):
                    return merged(memory.rows.schema, features, scorer(features), memory.rows.label), ""
                note = "the scorer answers otherwise than the log"
            except MlhealthError as error:
                note = f"the scorer could not be asked ({error})"
        stand_in = self.surrogate.near(window, memory.rows, seed=self.seed)
        return merged(memory.rows.schema, features, stand_in(features), memory.rows.label), note


def calibrated(inputs: FitInputs) -> CBPE:
    """Return CBPE with scores mapped to frequencies, never taken as they are: on the whole the map cannot miss.

    Where few rows make the map's log loss the worse, scores that are surer than right would win, and move every window
    that nothing has happened to.
    """
    fitted = CBPE.fit(inputs)
    return replace(fitted, calibrator=fit_calibrator(inputs.reference, labels(inputs.reference)))


def _moved(movement: Movement, faults: Sequence[Treated]) -> float:
    """Return the share of columns that moved among those without a fault, 0 where all have one."""
    whole = ~np.isin(movement.columns, [t.name for t in faults])
    return float((movement.marginal[whole] > MARGINAL).mean()) if whole.any() else 0.0


def rowwise(usual: UsualMethods) -> Callable[[Rows], Floats] | None:
    """Return P(class | row) by the row model of the usual methods, where there is one."""
    model = usual[1].model
    return model.posterior if isinstance(model, ErrorModel) else None


def in_order(rows: Rows) -> Rows:
    """Return the rows in an order that depends on their contents only."""
    schema = rows.schema
    numbers = [rows.features[c].to_numpy(float) for c in schema.numeric]
    texts = [hash_array(rows.features[c].to_numpy(object)) >> np.uint64(12) for c in schema.categorical]
    matrix = np.column_stack([*numbers, *(t.astype(float) for t in texts), np.zeros(len(rows))])
    return rows.take(canonical_order(with_outputs(matrix, rows)))


def agrees(scorer: Scorer, rows: Rows, space: OutputSpace) -> bool:
    """Whether a scorer reproduces the logged answers of (some of) the rows."""
    some = rows.take(np.arange(min(CHECKED, len(rows))))
    prediction, _ = scorer(some.features)
    if len(prediction) != len(some):
        return False
    if space.classes:
        return float(np.mean(np.asarray(prediction) == some.prediction)) >= AGREEMENT
    off = np.abs(np.asarray(prediction, float) - some.prediction) <= 0.01 * space.spread + 1e-9
    return float(off.mean()) >= AGREEMENT
