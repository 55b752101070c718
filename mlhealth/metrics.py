"""Every Prometheus metric of the service: name, type, unit and labels, in one place; the registry is passed in."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
VERSION = ("model", "version")
SEGMENT = ("model", "version", "segment")


class Metrics:
    """The metrics of one process; each attribute's comment gives type, unit and labels where the name does not."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        r = self.registry
        # the stream
        self.records = Counter(
            "mlhealth_records",
            "Events by what became of them, once checkpointed.",
            (*VERSION, "outcome"),
            registry=r,
        )
        self.late_records = Counter(
            "mlhealth_late_records", "Events whose window took no more rows.", VERSION, registry=r
        )
        self.gap_records = Counter(
            "mlhealth_gap_records",
            "Messages that the source no longer had.",
            ("topic", "partition"),
            registry=r,
        )
        self.skipped_windows = Counter(
            "mlhealth_skipped_windows",
            "Windows without rows, in a silence too long to report each.",
            VERSION,
            registry=r,
        )
        self.watermark_lag = Gauge(
            "mlhealth_watermark_lag_seconds", "Wall clock minus the event time reached.", VERSION, registry=r
        )
        self.consumer_lag = Gauge(
            "mlhealth_consumer_lag_records",
            "Messages not yet checkpointed.",
            ("topic", "partition"),
            registry=r,
        )
        self.open_partials = Gauge("mlhealth_open_partials", "Partial profiles held in memory.", registry=r)
        self.buffered_bytes = Gauge(
            "mlhealth_buffered_bytes", "Message bytes polled and not decoded.", registry=r
        )
        self.paused = Gauge(
            "mlhealth_source_paused", "1 while the store is awaited and nothing is polled.", registry=r
        )
        self.checkpoint_seconds = Histogram(
            "mlhealth_checkpoint_seconds", "Time to write a checkpoint.", buckets=SECONDS, registry=r
        )
        self.window_close_seconds = Histogram(
            "mlhealth_window_close_seconds",
            "Time of a round of closing windows.",
            buckets=SECONDS,
            registry=r,
        )
        self.failures = Counter(
            "mlhealth_failures", "Failures that were waited out, by kind.", ("kind",), registry=r
        )
        # the latest window of each model version and segment
        self.health_score = Gauge("mlhealth_health_score", "Health score, 0 to 100.", SEGMENT, registry=r)
        self.window_rows = Gauge("mlhealth_window_rows", "Rows of the latest window.", SEGMENT, registry=r)
        self.window_end = Gauge(
            "mlhealth_window_end_timestamp_seconds",
            "Event time at which the latest window ends.",
            SEGMENT,
            registry=r,
        )
        labels = (*SEGMENT, "metric")
        self.estimate = Gauge("mlhealth_estimated_performance", "Estimated metric.", labels, registry=r)
        self.estimate_lower = Gauge(
            "mlhealth_estimated_performance_lower", "Lower end of its interval.", labels, registry=r
        )
        self.estimate_upper = Gauge(
            "mlhealth_estimated_performance_upper", "Upper end of its interval.", labels, registry=r
        )
        self.reference = Gauge(
            "mlhealth_reference_performance", "The metric on reference rows.", labels, registry=r
        )
        self.realized = Gauge(
            "mlhealth_realized_performance", "The metric where labels came.", labels, registry=r
        )
        self.realized_lower = Gauge(
            "mlhealth_realized_performance_lower", "Lower end of its sampling interval.", labels, registry=r
        )
        self.realized_upper = Gauge(
            "mlhealth_realized_performance_upper", "Upper end of its sampling interval.", labels, registry=r
        )
        self.labelled_rows = Gauge(
            "mlhealth_labelled_rows",
            "Kept rows with a label, of the newest window that has any.",
            SEGMENT,
            registry=r,
        )
        record = (*VERSION, "metric")
        self.estimate_error = Gauge(
            "mlhealth_estimate_error", "Mean absolute error of estimates against labels.", record, registry=r
        )
        self.estimate_bias = Gauge(
            "mlhealth_estimate_bias", "Mean of estimate less label.", record, registry=r
        )
        self.interval_coverage = Gauge(
            "mlhealth_interval_coverage", "Share of intervals that held the truth.", record, registry=r
        )
        self.compared_windows = Gauge(
            "mlhealth_compared_windows", "Windows that these speak of.", record, registry=r
        )
        self.drift_statistic = Gauge(
            "mlhealth_drift_statistic",
            "Drift of the features that drifted most.",
            (*VERSION, "feature", "method"),
            registry=r,
        )
        self.drift_threshold = Gauge(
            "mlhealth_drift_threshold",
            "Above which a feature counts as drifted.",
            (*VERSION, "feature", "method"),
            registry=r,
        )
        self.drifted_features = Gauge(
            "mlhealth_drifted_features", "Features that drifted.", SEGMENT, registry=r
        )
        self.alert_active = Gauge(
            "mlhealth_alert_active", "1 while an alert fires.", (*SEGMENT, "rule", "severity"), registry=r
        )
        # telling and retraining
        self.notifications = Counter(
            "mlhealth_notifications", "Deliveries by outcome.", ("channel", "outcome"), registry=r
        )
        self.retrain_triggers = Counter(
            "mlhealth_retrain_triggers",
            "Retraining requests by what became of them.",
            ("service", "outcome"),
            registry=r,
        )
        self.build = Info("mlhealth_build", "Version of the service.", registry=r)
        self.build.info({"version": _version()})


def _version() -> str:
    try:
        return version("mlhealth")
    except PackageNotFoundError:
        return "unknown"
