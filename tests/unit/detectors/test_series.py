"""Detectors of a change in a series of window statistics."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.adwin import MOST, Adwin
from mlhealth.detectors.page_hinkley import PageHinkley


def test_page_hinkley_finds_a_rise_and_begins_anew() -> None:
    """A rise of one standard deviation is found within 20 values; the next value starts the test again."""
    rng = np.random.default_rng(0)
    test = PageHinkley(limit=8.0, slack=0.5)
    for value in rng.normal(size=200):
        test = test.update(float(value))
        assert not test.drifted
    found = None
    for i, value in enumerate(rng.normal(2.0, 1.0, 20)):
        test = test.update(float(value))
        if test.drifted:
            found = i
            break
    assert found is not None
    assert test.update(2.0).values == 1


def test_page_hinkley_lets_a_fall_pass() -> None:
    """The test is one-sided: values that fall are no drift."""
    test = PageHinkley(limit=5.0)
    for value in [1.0] * 50 + [0.0] * 50:
        test = test.update(value)
    assert not test.drifted


def test_adwin_keeps_calm_and_then_cuts() -> None:
    """A series with one mean is kept whole; after a change only what came since stays."""
    rng = np.random.default_rng(1)
    series = Adwin()
    for value in rng.uniform(0.3, 0.5, 100):
        series = series.update(float(value))
        assert not series.drifted
    assert len(series.kept) == 100
    drifted = False
    for value in rng.uniform(0.7, 0.9, 40):
        series = series.update(float(value))
        drifted |= series.drifted
    assert drifted
    assert 30 <= len(series.kept) <= 60


def test_adwin_keeps_no_more_than_it_may() -> None:
    """Memory is bounded however long the series."""
    series = Adwin()
    for _ in range(MOST + 10):
        series = series.update(0.5)
    assert len(series.kept) == MOST
