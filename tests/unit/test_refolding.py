"""Which later windows a revision rewrites: those whose verdict a reader would see change, whole windows at a time."""

from __future__ import annotations

from dataclasses import replace

from mlhealth.records import HealthScore, HealthStatus, WindowKey, WindowReport
from mlhealth.worker.refolding import rewritten


def report(start: int, segment: str, status: HealthStatus, evidence: float = 0.0) -> WindowReport:
    """Return a stored report, its second revision."""
    health = HealthScore(50.0, status, "accuracy", 0.05, parts={"evidence": evidence})
    return WindowReport(WindowKey("m", "1", segment, start, start + 10), 1, "b", 500, {}, health, {})


def test_a_changed_verdict_is_written_as_the_next_revision() -> None:
    """Where one segment's verdict changes, every report of that window becomes the next revision; others stay."""
    old = [report(s, g, HealthStatus.DEGRADED) for s in (0, 10) for g in ("", "a=b")]
    new = [replace(o) for o in old]
    new[3] = report(10, "a=b", HealthStatus.CRITICAL)
    found = rewritten(list(zip(old, new, strict=True)))
    assert [(r.key.start, r.key.segment, r.revision) for r in found] == [(10, "", 2), (10, "a=b", 2)]
    assert found[1].health.status is HealthStatus.CRITICAL


def test_evidence_alone_rewrites_nothing() -> None:
    """A verdict that reads the same is not written again."""
    pair = (report(0, "", HealthStatus.HEALTHY), report(0, "", HealthStatus.HEALTHY, evidence=1.5))
    assert rewritten([pair]) == []
