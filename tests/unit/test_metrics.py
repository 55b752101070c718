"""The metrics: each declared once, and never more series than allowed."""

from __future__ import annotations

from prometheus_client import generate_latest

from mlhealth.metrics import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return a sample's value, None where there is no such series."""
    return metrics.registry.get_sample_value(name, labels)


def test_a_metric_stops_at_its_most_series_and_counts_the_rest() -> None:
    """The fourth model of three gets no series, existing ones go on, and the left out are counted by metric."""
    metrics = Metrics(most_series=3)
    for n in range(6):
        metrics.health_score.labels(f"m{n}", "1", "").set(50 + n)
    metrics.health_score.labels("m0", "1", "").set(7)
    assert value(metrics, "mlhealth_health_score", model="m0", version="1", segment="") == 7
    assert value(metrics, "mlhealth_health_score", model="m3", version="1", segment="") is None
    assert value(metrics, "mlhealth_series_left_out_total", metric="mlhealth_health_score") == 3


def test_a_counter_without_a_series_of_its_own_is_bounded_too() -> None:
    """Counters obey the same bound as gauges."""
    metrics = Metrics(most_series=1)
    for topic in "ab":
        metrics.gap_records.labels(topic, "0").inc(5)
    assert value(metrics, "mlhealth_gap_records_total", topic="a", partition="0") == 5
    assert value(metrics, "mlhealth_series_left_out_total", metric="mlhealth_gap_records") == 1


def test_features_that_are_no_longer_shown_make_room() -> None:
    """What falls out of the list loses its series, and another may have one."""
    metrics = Metrics(most_series=2)
    for name in ("income", "age"):
        metrics.drift_statistic.labels("m", "1", name, "psi").set(1)
    metrics.drift_statistic.keep_only(("m", "1"), {("age", "psi")})
    metrics.drift_statistic.labels("m", "1", "region", "psi").set(3)
    of = {"model": "m", "version": "1", "method": "psi"}
    assert value(metrics, "mlhealth_drift_statistic", feature="income", **of) is None
    assert value(metrics, "mlhealth_drift_statistic", feature="region", **of) == 3


def test_alerts_are_asked_for_at_each_scrape() -> None:
    """An alert that fires is 1 and one that does not is absent, whatever happened before."""
    firing: list[tuple[str, ...]] = [("m", "1", "", "Harm", "page")]
    metrics = Metrics(firing=lambda: firing)
    assert b"mlhealth_alert_active{" in generate_latest(metrics.registry)
    firing.clear()
    assert b"mlhealth_alert_active{" not in generate_latest(metrics.registry)


def test_every_metric_has_a_meaning_and_the_prefix() -> None:
    """Names begin with the product's, and each has a sentence."""
    families = list(Metrics().registry.collect())
    assert len(families) > 30
    assert all(f.name.startswith("mlhealth_") and f.documentation.endswith(".") for f in families)
