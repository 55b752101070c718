"""The baselines of a model version, and two of them side by side: what changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mlhealth.baseline.record import BaselineView
from mlhealth.dashboards import drawings
from mlhealth.dashboards.web.chart import Chart
from mlhealth.dashboards.wording import capital, column_name
from mlhealth.events.batch import EventBatch
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.queries.reports import BaselineLine, Queries
from mlhealth.store import baselines as stored
from mlhealth.store.proposals import Proposal, proposals
from mlhealth.versions.baselines import BaselineComparison, compare_baselines

DISTRIBUTIONS = 6
"""Columns whose distributions are drawn: those that lie furthest apart."""


@dataclass(frozen=True)
class Pair:
    """Which two baselines an address asks for, by hash; "" leaves the choice to the page."""

    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class BaselinesPage:
    """What the page shows; `comparison` is None where there are not two baselines."""

    model: str
    version: str
    lines: tuple[BaselineLine, ...]
    proposals: tuple[Proposal, ...]
    pair: Pair
    comparison: BaselineComparison | None
    charts: tuple[Chart, ...]


def baselines_page(queries: Queries, model: str, version: str, wanted: Pair) -> BaselinesPage:
    """Return the page of a version's baselines; raises NotFoundError where the version is not known."""
    queries.version(model, version)
    lines = queries.baselines(model, version)
    pair = _pair(lines, wanted)
    with queries.database.read() as connection:
        proposed = [p for p in proposals(connection) if (p.model, p.version) == (model, version)]
    comparison: BaselineComparison | None = None
    charts: tuple[Chart, ...] = ()
    if pair.before and pair.after:
        comparison = _compared(queries, pair)
        charts = _charts(queries, pair, comparison)
    return BaselinesPage(model, version, lines, tuple(proposed), pair, comparison, charts)


def _pair(lines: tuple[BaselineLine, ...], wanted: Pair) -> Pair:
    """Return the pair to compare: as asked for, else the newest with the one before it."""
    known = [line.hash for line in lines]
    if len(known) < 2:
        return Pair()
    after = wanted.after if wanted.after in known else known[0]
    others = [name for name in known if name != after]
    return Pair(wanted.before if wanted.before in others else others[0], after)


def _compared(queries: Queries, pair: Pair) -> BaselineComparison:
    """Return the comparison of two baselines; they never change, so it is worked out once."""
    return _comparison(pair.before, pair.after, _Loader(queries))


@dataclass(frozen=True, eq=False)
class _Loader:
    """Reads baselines; equal to any other, so that a comparison is found again by its hashes alone."""

    queries: Queries

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Loader)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=32)
def _comparison(before: str, after: str, loader: _Loader) -> BaselineComparison:
    with loader.queries.database.read() as connection:
        return compare_baselines(stored.load(connection, before), stored.load(connection, after))


def _charts(queries: Queries, pair: Pair, comparison: BaselineComparison) -> tuple[Chart, ...]:
    before, after = queries.baseline_view(pair.before), queries.baseline_view(pair.after)
    if before is None or after is None:
        return ()
    names = [change.column for change in comparison.columns[:DISTRIBUTIONS]]
    moved = WindowProfile.of(EventBatch(before.schema, after.rows), before.reference.layout, sample=False)
    return tuple(_chart(name, before, moved) for name in names if name in before.reference.layout.bins)


def _chart(name: str, before: BaselineView, after: WindowProfile) -> Chart:
    bins = before.reference.layout.bins[name]
    counts = drawings.FeatureCounts(name, bins, before.reference.column(name), after.column(name))
    label = capital(column_name(name))
    return Chart.of(
        drawings.distribution_figure(counts), column_name(name), f"{label}: its values in both baselines."
    )
