"""What the worker did, as metrics: counts once they are checkpointed, gauges of each model version's latest window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from mlhealth.clock import SECOND
from mlhealth.events.messages import Partition
from mlhealth.metrics import Metrics
from mlhealth.records import WindowReport
from mlhealth.sources.base import DeadLetter, Source
from mlhealth.store.checkpoints import Count
from mlhealth.worker.closing import Closed

SHOWN_FEATURES = 20
"""How many features of a model version have series of their own; the store has them all."""


def tell_counts(metrics: Metrics, counts: Iterable[Count]) -> None:
    """Add events of a written checkpoint."""
    totals: dict[tuple[str, str, str], int] = {}
    for count in counts:
        place = (count.model, count.version, count.outcome)
        totals[place] = totals.get(place, 0) + count.events
    for (model, version, outcome), events in totals.items():
        if events > 0:
            metrics.records.labels(model, version, outcome).inc(events)
        if outcome == "late" and events > 0:
            metrics.late_records.labels(model, version).inc(events)


def tell_lag(metrics: Metrics, behind: Mapping[Partition, int], held: Collection[Partition]) -> None:
    """Show how many messages of the partitions that are ours no checkpoint holds yet."""
    metrics.consumer_lag.clear()
    for partition in held:
        if partition in behind:
            metrics.consumer_lag.labels(partition.topic, str(partition.number)).set(behind[partition])


def set_aside(source: Source, letters: Sequence[DeadLetter], metrics: Metrics) -> None:
    """Write dead letters where the source has a place for them, and count those that were written."""
    if letters and source.set_aside(letters):
        for topic, found in Counter(letter.partition.topic for letter in letters).items():
            metrics.dead_letters.labels(topic).inc(found)


def tell_closed(metrics: Metrics, closed: Closed, now: int) -> None:
    """Show a model version's latest window and how far behind the wall clock it is."""
    if closed.watermark is not None:
        metrics.watermark_lag.labels(*closed.name).set((now - closed.watermark) / SECOND)
    if closed.skipped:
        metrics.skipped_windows.labels(*closed.name).inc(closed.skipped)
    for seconds in closed.seconds:
        metrics.window_close_seconds.observe(seconds)
    for report in closed.reports:
        _tell_report(metrics, report)
    for report in closed.labelled:
        _tell_labels(metrics, report)
    for record in closed.records:
        names = (*closed.name, record.metric)
        metrics.estimate_error.labels(*names).set(record.error)
        metrics.estimate_bias.labels(*names).set(record.bias)
        metrics.interval_coverage.labels(*names).set(record.coverage)
        metrics.compared_windows.labels(*names).set(record.windows)


def _tell_labels(metrics: Metrics, report: WindowReport) -> None:
    """Show what labels say of a window; of several, the one told last stays."""
    names = (report.key.model, report.key.version, report.key.segment)
    for name, value in report.realized.items():
        metrics.realized.labels(*names, name).set(value)
    if report.labels is None:
        return
    metrics.labelled_rows.labels(*names).set(report.labels.labelled)
    for name, (lower, upper) in report.labels.intervals.items():
        metrics.realized_lower.labels(*names, name).set(lower)
        metrics.realized_upper.labels(*names, name).set(upper)


def _tell_report(metrics: Metrics, report: WindowReport) -> None:
    key = report.key
    names = (key.model, key.version, key.segment)
    metrics.window_rows.labels(*names).set(report.rows)
    metrics.window_events.labels(*names).set(report.volume)
    metrics.window_end.labels(*names).set(key.end / SECOND)
    metrics.drifted_features.labels(*names).set(sum(d.drifted for d in report.drift.values()))
    metrics.health_score.labels(*names).set(
        float("nan") if report.health.score is None else report.health.score
    )
    for name, estimate in report.estimates.items():
        shown = {
            metrics.estimate: estimate.value,
            metrics.estimate_lower: estimate.lower,
            metrics.estimate_upper: estimate.upper,
            metrics.reference: estimate.reference,
        }
        for gauge, value in shown.items():
            gauge.labels(*names, name).set(float("nan") if value is None else value)
    _tell_labels(metrics, report)
    if not key.segment:
        _tell_drift(metrics, report)


def _tell_drift(metrics: Metrics, report: WindowReport) -> None:
    judged = [d for d in report.drift.values() if d.statistic is not None and d.feature is not None]
    judged.sort(key=lambda d: (d.statistic or 0.0) / (d.threshold or 1.0), reverse=True)
    version = (report.key.model, report.key.version)
    shown = {(str(d.feature), d.detector) for d in judged[:SHOWN_FEATURES]}
    # A feature that has moved down the list must not go on showing what it was.
    metrics.drift_statistic.keep_only(version, shown)
    metrics.drift_threshold.keep_only(version, shown)
    for result in judged[:SHOWN_FEATURES]:
        names = (*version, str(result.feature), result.detector)
        metrics.drift_statistic.labels(*names).set(result.statistic or 0.0)
        if result.threshold is not None:
            metrics.drift_threshold.labels(*names).set(result.threshold)
