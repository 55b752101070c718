"""Routes that answer questions as JSON; every time is an integer of microseconds since the epoch, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from mlhealth.api.access import Reader, own_services
from mlhealth.api.services import Services
from mlhealth.clock import from_iso
from mlhealth.errors import ConfigError
from mlhealth.queries.alerts import AlertLine, Of, RetrainingLine
from mlhealth.queries.reports import BaselineLine, Period, ReportLine, VersionSummary
from mlhealth.queries.stream import RejectionLine
from mlhealth.records import Alert, AlertState, WindowReport

router = APIRouter(prefix="/v1", tags=["query"])
Parts = Annotated[Services, Depends(own_services)]
Limit = Annotated[int, Query(ge=1, le=10_000, description="At most so many, the newest.")]
VERSION = "/models/{model}/versions/{version}"


def moment(text: str) -> int:
    """Return the microseconds of a path or query text: microseconds as they are, or ISO 8601."""
    return int(text) if text.lstrip("-").isdigit() else from_iso(text)


def period(
    start: Annotated[str | None, Query(alias="from", description="Windows that start here or later.")] = None,
    end: Annotated[str | None, Query(alias="to", description="Windows that start before.")] = None,
) -> Period:
    """Return the period of a query; both ends in microseconds or ISO 8601."""
    found = Period(moment(start) if start else None, moment(end) if end else None)
    if found.start is not None and found.end is not None and found.end <= found.start:
        raise ConfigError("the period is empty: `to` must be later than `from`")
    return found


@dataclass(frozen=True)
class VersionName:
    """Which model version an address speaks of."""

    model: str
    version: str


@dataclass(frozen=True)
class ReportPage:
    """Which reports of a period are wanted."""

    segment: Annotated[str, Query(description="`column=value`; empty for the overall window.")] = ""
    limit: Limit = 500


Named = Annotated[VersionName, Depends(VersionName)]


@router.get("/models", summary="All model versions with their latest windows")
def models(parts: Parts, _caller: Reader) -> tuple[VersionSummary, ...]:
    """Return every model version, by name."""
    return parts.queries.versions()


@router.get(VERSION, summary="One model version")
def version(named: Named, parts: Parts, _caller: Reader) -> VersionSummary:
    """Return a model version with its latest windows."""
    return parts.queries.version(named.model, named.version)


@router.get(VERSION + "/windows", summary="The windows of a period in short")
def windows(
    named: Named,
    parts: Parts,
    _caller: Reader,
    chosen: Annotated[Period, Depends(period)],
    limit: Limit = 500,
) -> tuple[ReportLine, ...]:
    """Return score and primary estimate of each window, oldest first."""
    return parts.queries.lines(named.model, named.version, chosen, limit=limit)


@router.get(VERSION + "/reports", summary="The whole reports of a period", response_model=list[WindowReport])
def reports(
    named: Named,
    parts: Parts,
    _caller: Reader,
    chosen: Annotated[Period, Depends(period)],
    page: Annotated[ReportPage, Depends(ReportPage)],
) -> tuple[WindowReport, ...]:
    """Return the latest revision of each window's report, oldest first."""
    return parts.queries.reports(named.model, named.version, chosen, segment=page.segment, limit=page.limit)


@router.get(VERSION + "/reports/{start}", summary="The report of one window", response_model=WindowReport)
def report(named: Named, start: str, parts: Parts, _caller: Reader, segment: str = "") -> WindowReport:
    """Return the latest revision of the window that starts at `start`."""
    return parts.queries.report(named.model, named.version, moment(start), segment=segment)


@router.get(VERSION + "/baselines", summary="The baselines of a model version, newest first")
def baselines(named: Named, parts: Parts, _caller: Reader) -> tuple[BaselineLine, ...]:
    """Return what is known of each baseline, without its data."""
    return parts.queries.baselines(named.model, named.version)


def chosen_models(model: str | None = None, version: str | None = None) -> Of:
    """Return which model and version a query speaks of."""
    return Of(model, version)


Chosen = Annotated[Of, Depends(chosen_models)]


@router.get("/alerts", summary="Alerts as they stand, firing ones first", response_model=list[AlertLine])
def alerts(
    parts: Parts, _caller: Reader, of: Chosen, state: Annotated[list[AlertState] | None, Query()] = None
) -> tuple[AlertLine, ...]:
    """Return the state of every alert, with who has acknowledged it."""
    return parts.queries.alerts.current(of, states=state or ())


@router.get("/alerts/history", summary="Each time an alert fired, newest first", response_model=list[Alert])
def alert_history(parts: Parts, _caller: Reader, of: Chosen, limit: Limit = 200) -> tuple[Alert, ...]:
    """Return past and present firings; a resolved one ended at `since`."""
    return parts.queries.alerts.episodes(of, limit=limit)


@router.get("/retraining", summary="Retraining requests, newest first", response_model=list[RetrainingLine])
def retraining(parts: Parts, _caller: Reader, of: Chosen, limit: Limit = 200) -> tuple[RetrainingLine, ...]:
    """Return why each retraining was asked for, and how it went."""
    return parts.queries.alerts.retrainings(of, limit=limit)


@router.get("/rejections", summary="Events that could not be used: address and reason")
def rejections(parts: Parts, _caller: Reader, limit: Limit = 100) -> tuple[RejectionLine, ...]:
    """Return the newest rejections."""
    return parts.queries.stream.rejections(limit=limit)
