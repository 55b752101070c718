"""Statistics of binned columns against the exact ones, on real tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlhealth.detectors.cells import CellLayout, Cells, Floats
from mlhealth.detectors.jensen_shannon import JensenShannon
from mlhealth.detectors.kolmogorov_smirnov import KolmogorovSmirnov
from mlhealth.detectors.population_stability_index import PopulationStabilityIndex
from mlhealth.detectors.wasserstein import Wasserstein
from mlhealth.profile.bins import NumericBins
from tests.drift_builder import world_of

TABLES = ("elec", "adult", "beijing_pm_level", "bike_hour", "california_housing", "diamonds", "employment_ma")


def _halves(path: Path) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return the numeric columns of a table's first and last 5,000 rows; in that order time has gone by."""
    table = pd.read_parquet(path).select_dtypes("number").astype(float)
    varied = [c for c in table.columns if table[c].iloc[:5000].nunique() > 1]
    head, tail = table[varied].iloc[:5000], table[varied].iloc[-5000:]
    return ({c: head[c].to_numpy() for c in varied}, {c: tail[c].to_numpy() for c in varied})


@pytest.fixture(params=TABLES)
def halves(request: pytest.FixtureRequest, shared_data: Path) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Numeric columns of one real table: reference and window."""
    return _halves(shared_data / f"{request.param}.parquet")


def _cells(halves: tuple[dict[str, Floats], dict[str, Floats]]) -> tuple[Cells, Cells]:
    world = world_of(halves[0])
    layout = CellLayout.of(world.baseline.reference)
    return Cells.of(world.baseline.reference, layout), Cells.of(world.window(halves[1]), layout)


def test_kolmogorov_smirnov_is_near_the_exact(halves: tuple[dict[str, Floats], dict[str, Floats]]) -> None:
    """Read at the bins' edges, the distance is at most 0.01 below the exact one, and never above it."""
    reference, window = _cells(halves)
    found = KolmogorovSmirnov().statistic(reference, window)
    for j, name in enumerate(halves[0]):
        a, b = (half[name][np.isfinite(half[name])] for half in halves)
        exact = stats.ks_2samp(a, b, method="asymp").statistic
        assert exact - 0.01 <= found[j] <= exact + 1e-9, name


def test_wasserstein_is_near_the_exact(halves: tuple[dict[str, Floats], dict[str, Floats]]) -> None:
    """Within the reference's range the distance is within 2 % of the exact one, or 0.2 % of a standard deviation."""
    reference, window = _cells(halves)
    found = Wasserstein().statistic(reference, window)
    for j, name in enumerate(halves[0]):
        a, b = (half[name][np.isfinite(half[name])] for half in halves)
        exact = stats.wasserstein_distance(a, np.clip(b, a.min(), a.max()))
        assert found[j] == pytest.approx(exact, rel=0.02, abs=0.002 * float(np.std(a))), name


def test_jensen_shannon_of_few_values_is_exact(halves: tuple[dict[str, Floats], dict[str, Floats]]) -> None:
    """Columns of at most 100 distinct values have a cell each: the distance is the exact one within 0.01."""
    reference, window = _cells(halves)
    found = JensenShannon().statistic(reference, window)
    for j, name in enumerate(halves[0]):
        a, b = (half[name][np.isfinite(half[name])] for half in halves)
        values = np.unique(a)
        if len(values) <= 100 and np.isin(b, values).all():
            p, q = ((half[:, None] == values).mean(axis=0) for half in (a, b))
            assert found[j] == pytest.approx(jensenshannon(p, q, base=2), abs=0.01), name


DENSITIES = {
    "shifted": (stats.norm(), stats.norm(0.3)),
    "far": (stats.norm(), stats.norm(1.0)),
    "wider": (stats.norm(), stats.norm(0.0, 1.5)),
    "narrower": (stats.norm(), stats.norm(0.0, 0.5)),
    "lognormal": (stats.lognorm(1.0), stats.lognorm(1.0, scale=1.5)),
    "gamma": (stats.gamma(2.0), stats.gamma(3.0)),
    "heavy tails": (stats.t(3), stats.t(3, 0.5)),
}
"""Continuous distributions before and after."""


@pytest.mark.parametrize("name", DENSITIES)
def test_divergences_of_continuous_columns_are_near_those_of_their_densities(name: str) -> None:
    """Jensen-Shannon within 0.01 and PSI within a tenth of what the densities give, integrated."""
    rng = np.random.default_rng(0)
    before, after = (one.rvs(100_000, random_state=rng) for one in DENSITIES[name])
    reference, window = _cells(({"x": before}, {"x": after}))
    grid = np.linspace(-60.0, 120.0, 1_000_001)
    p, q = (one.pdf(grid) / one.pdf(grid).sum() for one in DENSITIES[name])
    both = (p > 1e-300) & (q > 1e-300)
    psi = float(((p - q)[both] * np.log(p[both] / q[both])).sum())
    assert JensenShannon().statistic(reference, window)[0] == pytest.approx(
        jensenshannon(p[both], q[both], base=2), abs=0.01
    )
    assert PopulationStabilityIndex().statistic(reference, window)[0] == pytest.approx(psi, rel=0.1)


def test_divergences_on_real_columns_are_those_of_the_raw_values(
    halves: tuple[dict[str, Floats], dict[str, Floats]],
) -> None:
    """Counted by numpy from the raw values in the same cells, Jensen-Shannon and PSI come out the same."""
    reference, window = _cells(halves)
    divergence = JensenShannon().statistic(reference, window)
    index = PopulationStabilityIndex().statistic(reference, window)
    for j, name in enumerate(halves[0]):
        bins = reference.layout.profile.bins[name]
        assert isinstance(bins, NumericBins)
        p, q = (_counted(half[name], bins.edges) for half in halves)
        assert divergence[j] == pytest.approx(jensenshannon(p, q, base=2), abs=1e-9), name
        a, b = ((counts + 0.5) / (counts + 0.5).sum() for counts in (p, q))
        assert index[j] == pytest.approx(float(((a - b) * np.log(a / b)).sum()), abs=1e-9), name


def _counted(values: Floats, edges: Sequence[float]) -> Floats:
    """Count values below, between and above edges; a value at an edge is above it, but at the last one below."""
    finite = values[np.isfinite(values)]
    inside, _ = np.histogram(finite, edges)
    return np.array([(finite < edges[0]).sum(), *inside, (finite > edges[-1]).sum()], dtype=np.float64)
