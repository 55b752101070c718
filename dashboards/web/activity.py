"""Pages about all models at once: alerts, retraining, and the monitor itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.dashboards import drawings
from mlhealth.dashboards.web.chart import Chart
from mlhealth.errors import StoreUnavailable
from mlhealth.queries.alerts import AlertLine, DeliveryLine, RetrainingLine
from mlhealth.queries.reports import Queries
from mlhealth.queries.stream import PartitionLine, RejectionLine
from mlhealth.records import Alert, AlertState
from mlhealth.store.silences import Silence


@dataclass(frozen=True)
class AlertsPage:
    """What is firing, what is silenced, and what has fired."""

    current: tuple[AlertLine, ...]
    episodes: tuple[Alert, ...]
    silences: tuple[Silence, ...]
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class RetrainingPage:
    """What was asked of training services."""

    lines: tuple[RetrainingLine, ...]


@dataclass(frozen=True)
class MonitorPage:
    """How the service itself does; `missing` has a sentence per part that is not ready."""

    missing: tuple[str, ...]
    newest: int | None
    counters: dict[str, int]
    partitions: tuple[PartitionLine, ...]
    rejections: tuple[RejectionLine, ...]
    deliveries: tuple[DeliveryLine, ...] = ()


def alerts_page(queries: Queries, now: int) -> AlertsPage:
    """Return the alerts of every model; `now` in wall time, for silences."""
    current = queries.alerts.current(states=(AlertState.FIRING, AlertState.PENDING))
    episodes = queries.alerts.episodes(limit=100)
    return AlertsPage(
        current, episodes, queries.alerts.silences(now), _timeline(episodes, queries.stream.newest_event())
    )


def _timeline(episodes: Sequence[Alert], newest: int | None) -> tuple[Chart, ...]:
    if not episodes:
        return ()
    until = max([newest or 0, *(alert.since for alert in episodes)])
    figure = drawings.timeline_figure(episodes, (), until=until)
    return (
        Chart.of(
            figure, "Over time", f"{len(episodes)} firings by rule over time; the history below lists them."
        ),
    )


def retraining_page(queries: Queries) -> RetrainingPage:
    """Return the retraining requests of every model."""
    return RetrainingPage(queries.alerts.retrainings())


def monitor_page(queries: Queries, missing: Sequence[str]) -> MonitorPage:
    """Return how the service does; a store that does not answer is one of the things missing."""
    stream = queries.stream
    try:
        return MonitorPage(
            tuple(missing),
            stream.newest_event(),
            stream.counters(),
            stream.partitions(),
            stream.rejections(),
            queries.alerts.deliveries(),
        )
    except StoreUnavailable as error:
        return MonitorPage((*missing, str(error)), None, {}, (), ())
