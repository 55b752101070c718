"""What the published ML Health similarity cannot see, and what stands beside it that can."""

from __future__ import annotations

import numpy as np
import pytest

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells
from mlhealth.detectors.missing_rate import MissingRate
from mlhealth.detectors.ml_health_similarity import MlHealthSimilarity
from mlhealth.detectors.stuck_value import StuckValue
from mlhealth.detectors.symmetric_similarity import SymmetricSimilarity
from mlhealth.detectors.testing import categorical, numeric

GAUSSIAN = [2, 6, 17, 44, 92, 150, 191, 191, 150, 92, 44, 17, 6]


def similarity(detector: Detector, reference: Cells, window: Cells) -> float:
    """Return the similarity (1 is alike) of one-column counts."""
    return 1.0 - float(detector.statistic(reference, window)[0])


def test_a_uniform_reference_is_like_anything_within_its_range() -> None:
    """Paper mode gives 1 whatever the window, if the reference is uniform; the symmetric form does not."""
    uniform, heap = numeric([10] * 10), numeric([100] + [0] * 9)
    assert similarity(MlHealthSimilarity(), uniform, heap) == pytest.approx(1.0)
    assert similarity(SymmetricSimilarity(), uniform, heap) < 0.2


def test_a_sensor_stuck_at_the_mode_is_invisible() -> None:
    """Paper mode clips to 1 where all values gather on the mode; the symmetric form and `stuck_value` see it."""
    reference = numeric(GAUSSIAN)
    at_mode = numeric([0] * 6 + [1000] + [0] * 6)
    off_mode = numeric([0, 0, 1000] + [0] * 10)
    assert similarity(MlHealthSimilarity(), reference, at_mode) == pytest.approx(1.0)
    assert similarity(MlHealthSimilarity(), reference, off_mode) < 0.2
    assert similarity(SymmetricSimilarity(), reference, at_mode) < 0.35
    assert StuckValue().statistic(reference, at_mode)[0] > 0.8


def test_it_is_not_symmetric() -> None:
    """Paper mode answers differently when reference and window change places; the symmetric form does not."""
    a, b = numeric(GAUSSIAN), numeric([0] * 5 + [100, 300, 100] + [0] * 5)
    paper, even = MlHealthSimilarity(), SymmetricSimilarity()
    assert similarity(paper, a, b) != pytest.approx(similarity(paper, b, a), abs=0.05)
    assert similarity(even, a, b) == pytest.approx(similarity(even, b, a))


def test_missing_values_are_ignored() -> None:
    """Neither form sees that nine values of ten are missing; the missing rate does."""
    reference, window = numeric([50, 50]), numeric([5, 5], missing=90)
    assert similarity(MlHealthSimilarity(), reference, window) == pytest.approx(1.0)
    assert similarity(SymmetricSimilarity(), reference, window) == pytest.approx(1.0)
    assert MissingRate().statistic(reference, window)[0] == pytest.approx(0.9)


def test_ten_rows_count_as_much_as_ten_thousand() -> None:
    """The score knows no sample size: the same shares give the same score from any number of rows."""
    reference = numeric([600, 400])
    few = similarity(MlHealthSimilarity(), reference, numeric([4, 6]))
    assert few == pytest.approx(similarity(MlHealthSimilarity(), reference, numeric([4000, 6000])))


@pytest.mark.parametrize("seed", range(5))
def test_paper_mode_equals_the_published_formula(seed: int) -> None:
    """Paper mode equals min(1, (sum p)^2 / sum p^2 * sum p q / (sum p sum q)), with left-over mass as one more cell."""
    rng = np.random.default_rng(seed)
    p, q = rng.integers(1, 50, 6), rng.integers(0, 50, 6)
    left_p, left_q = 0, 12
    a, b = categorical(p.tolist(), unseen=left_p), categorical(q.tolist(), unseen=left_q)
    share_p, share_q = p / (p.sum() + left_p), q / (q.sum() + left_q)
    rest_p, rest_q = 1.0 - share_p.sum(), 1.0 - share_q.sum()
    over, under = share_p @ share_q + rest_p * rest_q, share_p @ share_p + rest_p**2
    assert similarity(MlHealthSimilarity(), a, b) == pytest.approx(min(1.0, over / under))
