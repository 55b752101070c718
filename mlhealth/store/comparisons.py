"""Estimates beside the truth, window by window: small rows, so that a track record needs no reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.labels.track_record import Comparison
from mlhealth.records import WindowReport
from mlhealth.store.closing import ModelVersion
from mlhealth.store.database import upsert
from mlhealth.store.label_tables import comparisons


def compare(connection: Connection, found: Iterable[WindowReport]) -> None:
    """Keep what was estimated and what labels say, of reports whose labels speak for the window."""
    rows = [row for report in found for row in _rows(report)]
    upsert(connection, comparisons, rows)


def compared(
    connection: Connection, name: ModelVersion, *, segment: str = "", windows: int = 100
) -> list[Comparison]:
    """Return the comparisons of the newest windows that have any, oldest first."""
    t = comparisons.c
    chosen = (t.model == name[0], t.version == name[1], t.segment == segment)
    newest = sa.select(t.start).where(*chosen).distinct().order_by(t.start.desc()).limit(windows).subquery()
    columns = [t[field] for field in Comparison.__dataclass_fields__]
    query = sa.select(*columns).where(*chosen, t.start.in_(sa.select(newest.c.start)))
    return [Comparison(*row) for row in connection.execute(query.order_by(t.start, t.metric))]


def _rows(report: WindowReport) -> Iterator[dict[str, object]]:
    if report.labels is None:
        return
    key = report.key
    for metric, seen in sorted(report.labels.estimates.items()):
        estimate = report.estimates.get(metric)
        if estimate is None or seen.value is None:
            continue
        yield {
            "model": key.model,
            "version": key.version,
            "segment": key.segment,
            "start": key.start,
            "end": key.end,
            "metric": metric,
            "baseline": report.baseline,
            "labelled": report.labels.labelled,
            "level": estimate.level,
            "value": estimate.value,
            "lower": estimate.lower,
            "upper": estimate.upper,
            "realized": seen.value,
            "realized_lower": seen.lower,
            "realized_upper": seen.upper,
        }
