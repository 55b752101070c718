"""Every Prometheus metric of the service: name, type, unit and labels, in one place; the registry is passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Generic, TypeVar, overload

from prometheus_client import CollectorRegistry, Counter, Histogram, Info
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from mlhealth.metric_series import BoundedCounter, BoundedGauge

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
VERSION = ("model", "version")
SEGMENT = (*VERSION, "segment")
VALUE = (*SEGMENT, "metric")
RECORD = (*VERSION, "metric")
DRIFT = (*VERSION, "feature", "method")
PARTITION = ("topic", "partition")
ALERT = (*SEGMENT, "rule", "severity")
MOST_SERIES = 5_000
"""Series of one metric at most; what would be one more is counted in `mlhealth_series_left_out_total`."""

Firing = Callable[[], Iterable[Sequence[str]]]
"""Returns the labels (`ALERT`) of each alert that fires now."""


M = TypeVar("M", bound=MetricWrapperBase)


class Named(Generic[M]):
    """One metric as it is written down: its type, name, meaning and labels; each `Metrics` has its own of it."""

    def __init__(
        self, kind: type[M], name: str, meaning: str, labels: Sequence[str] = (), **more: Any
    ) -> None:
        self._kind, self._name, self._meaning = kind, name, meaning
        self._labels, self._more = labels, more

    def __set_name__(self, owner: type, attribute: str) -> None:
        self._attribute = attribute

    @overload
    def __get__(self, instance: None, owner: type) -> Named[M]: ...

    @overload
    def __get__(self, instance: Metrics, owner: type) -> M: ...

    def __get__(self, instance: Metrics | None, owner: type) -> Named[M] | M:
        if instance is None:
            return self
        found: M = instance.made[self._attribute]
        return found

    def make(self, registry: CollectorRegistry) -> M:
        """Return the metric in a registry."""
        return self._kind(self._name, self._meaning, self._labels, registry=registry, **self._more)


def gauge(name: str, meaning: str, labels: Sequence[str] = ()) -> Named[BoundedGauge]:
    """Return a gauge's place in `Metrics`."""
    return Named(BoundedGauge, name, meaning, labels)


def counter(name: str, meaning: str, labels: Sequence[str] = ()) -> Named[BoundedCounter]:
    """Return a counter's place in `Metrics`; it is exported with the suffix `_total`."""
    return Named(BoundedCounter, name, meaning, labels)


def seconds(name: str, meaning: str) -> Named[Histogram]:
    """Return the place in `Metrics` of a histogram of durations."""
    return Named(Histogram, name, meaning, buckets=SECONDS)


class Metrics:
    """The metrics of one process. `firing` is asked at each scrape which alerts fire."""

    # the stream
    records = counter(
        "mlhealth_records", "Events by what became of them, once checkpointed.", (*VERSION, "outcome")
    )
    late_records = counter("mlhealth_late_records", "Events whose window took no more rows.", VERSION)
    gap_records = counter("mlhealth_gap_records", "Messages that the source no longer had.", PARTITION)
    dead_letters = counter(
        "mlhealth_dead_letters",
        "Messages written to a dead-letter topic, by the topic they came from.",
        ("topic",),
    )
    skipped_windows = counter(
        "mlhealth_skipped_windows", "Windows without rows, in a silence too long to report each.", VERSION
    )
    watermark_lag = gauge(
        "mlhealth_watermark_lag_seconds", "Wall clock minus the event time reached.", VERSION
    )
    consumer_lag = gauge("mlhealth_consumer_lag_records", "Messages not yet checkpointed.", PARTITION)
    open_partials = gauge("mlhealth_open_partials", "Partial profiles held in memory.")
    event_ids = gauge("mlhealth_event_ids", "Event ids remembered, to know repeated events.")
    buffered_bytes = gauge("mlhealth_buffered_bytes", "Message bytes polled and not decoded.")
    paused = gauge("mlhealth_source_paused", "1 while the store is awaited and nothing is polled.")
    checkpoint_seconds = seconds("mlhealth_checkpoint_seconds", "Time to write a checkpoint.")
    window_close_seconds = seconds(
        "mlhealth_window_close_seconds", "Time to close or revise a window: merge, judge, rules, write."
    )
    failures = counter("mlhealth_failures", "Failures that were waited out, by kind.", ("kind",))
    # the latest window of each model version and segment
    health_score = gauge("mlhealth_health_score", "Health score, 0 to 100.", SEGMENT)
    window_rows = gauge("mlhealth_window_rows", "Rows of the latest window.", SEGMENT)
    window_events = gauge(
        "mlhealth_window_events", "Events of the latest window, estimated where the log is sampled.", SEGMENT
    )
    window_end = gauge(
        "mlhealth_window_end_timestamp_seconds", "Event time at which the latest window ends.", SEGMENT
    )
    estimate = gauge("mlhealth_estimated_performance", "Estimated metric.", VALUE)
    estimate_lower = gauge("mlhealth_estimated_performance_lower", "Lower end of its interval.", VALUE)
    estimate_upper = gauge("mlhealth_estimated_performance_upper", "Upper end of its interval.", VALUE)
    reference = gauge("mlhealth_reference_performance", "The metric on reference rows.", VALUE)
    realized = gauge("mlhealth_realized_performance", "The metric where labels came.", VALUE)
    realized_lower = gauge(
        "mlhealth_realized_performance_lower", "Lower end of its sampling interval.", VALUE
    )
    realized_upper = gauge(
        "mlhealth_realized_performance_upper", "Upper end of its sampling interval.", VALUE
    )
    labelled_rows = gauge(
        "mlhealth_labelled_rows", "Kept rows with a label, of the newest window that has any.", SEGMENT
    )
    estimate_error = gauge(
        "mlhealth_estimate_error", "Mean absolute error of estimates against labels.", RECORD
    )
    estimate_bias = gauge("mlhealth_estimate_bias", "Mean of estimate less label.", RECORD)
    interval_coverage = gauge("mlhealth_interval_coverage", "Share of intervals that held the truth.", RECORD)
    compared_windows = gauge("mlhealth_compared_windows", "Windows that these speak of.", RECORD)
    drift_statistic = gauge("mlhealth_drift_statistic", "Drift of the features that drifted most.", DRIFT)
    drift_threshold = gauge("mlhealth_drift_threshold", "Above which a feature counts as drifted.", DRIFT)
    drifted_features = gauge("mlhealth_drifted_features", "Features that drifted.", SEGMENT)
    # telling and retraining
    notifications = counter("mlhealth_notifications", "Deliveries by outcome.", ("channel", "outcome"))
    retrain_triggers = counter(
        "mlhealth_retrain_triggers", "Retraining requests by what became of them.", ("service", "outcome")
    )
    # the service
    pages_live = gauge("mlhealth_live_pages", "Pages open in browsers that are told of news.")
    series_left_out = Named(
        Counter,
        "mlhealth_series_left_out",
        f"Values without a series, since their metric has {MOST_SERIES:,}.",
        ("metric",),
    )
    build = Named(Info, "mlhealth_build", "Version of the service.")

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        firing: Firing = tuple,
        most_series: int = MOST_SERIES,
    ) -> None:
        self.registry = registry or CollectorRegistry()
        declared = {name: named for name, named in vars(type(self)).items() if isinstance(named, Named)}
        self.made: dict[str, Any] = {name: named.make(self.registry) for name, named in declared.items()}
        self.registry.register(_FiringAlerts(firing))
        for metric in self.made.values():
            if isinstance(metric, BoundedGauge | BoundedCounter):
                metric.bound(most_series, self.series_left_out)
        self.build.info({"version": _version()})


class _FiringAlerts(Collector):
    """`mlhealth_alert_active`: read from the store when it is asked for, so that a restart forgets no alert."""

    def __init__(self, firing: Firing) -> None:
        self._firing = firing

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("mlhealth_alert_active", "1 while an alert fires.", labels=ALERT)
        for labels in self._firing():
            family.add_metric(labels, 1.0)
        yield family


def _version() -> str:
    try:
        return version("mlhealth")
    except PackageNotFoundError:
        return "unknown"
