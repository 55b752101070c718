"""Fitting the stand-ins: on logged answers, and where the deployed model can be asked, on rows broken in many ways."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlhealth.corrupt import corrupt, eligible, kinds
from mlhealth.errors import DataError
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.ensemble.encoding import Encoding
from mlhealth.estimators.ensemble.outputs import OutputSpace, merged
from mlhealth.estimators.ensemble.surrogate import Design, Surrogate
from mlhealth.estimators.rows import Rows

COPIES = 400
"""Rows of each broken copy of the reference that the deployed model is asked about."""
ROUNDS = 2
LOGGED = 12_000
"""Rows with logged answers that the stand-ins learn from, at most."""


def distil(inputs: FitInputs, encoding: Encoding, space: OutputSpace) -> Surrogate:
    """Fit stand-ins on reference and training rows, and on broken rows if there is a scorer."""
    parts = [inputs.reference]
    if inputs.train is not None:
        some = min(len(inputs.train), max(LOGGED - len(inputs.reference), 0))
        parts.append(inputs.train.take(np.linspace(0, len(inputs.train) - 1, some).astype(np.intp)))
    if inputs.scorer is not None:
        parts.append(_asked(inputs))
    features = pd.concat([p.features for p in parts], ignore_index=True)
    numbers = np.vstack([space.numbers(p) for p in parts])
    return Surrogate.fit(Design.of(encoding), space, features, numbers, seed=inputs.seed)


def _asked(inputs: FitInputs) -> Rows:
    """Return rows broken in every known way, with what the deployed model answers to them."""
    rng = np.random.default_rng([inputs.seed, 3])
    reference = inputs.reference
    pieces = [reference.features.iloc[rng.integers(len(reference), size=COPIES)] for _ in range(1)]
    for kind, what in kinds().items():
        if len(eligible(reference.features, kind)) < what.at_least:
            continue
        for _ in range(ROUNDS):
            some = reference.features.iloc[rng.integers(len(reference), size=COPIES)].reset_index(drop=True)
            try:
                pieces.append(corrupt(some, kind, rng=rng, fraction=0.7).features)
            except DataError:
                continue
    features = pd.concat(pieces, ignore_index=True)
    assert inputs.scorer is not None
    return merged(reference.schema, features, inputs.scorer(features), None)
