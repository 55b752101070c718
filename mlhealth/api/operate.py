"""Routes for machines that keep the service running: metrics, liveness, readiness."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mlhealth.api.access import WholeReader
from mlhealth.api.services import Services, services
from mlhealth.errors import StoreUnavailable

router = APIRouter(tags=["operate"])


@router.get("/healthz", summary="Is the process alive?")
def healthz() -> dict[str, str]:
    """Answer whenever the process can answer at all."""
    return {"status": "ok"}


@router.get("/readyz", summary="Is every part ready? 503 names those that are not.")
def readyz(parts: Annotated[Services, Depends(services)]) -> JSONResponse:
    """Ask the store and every part that the composition root named."""
    missing = list(parts.unready())
    try:
        parts.queries.ping()
    except StoreUnavailable as error:
        missing.append(str(error))
    return JSONResponse(
        {"status": "not ready" if missing else "ok", "missing": missing}, 503 if missing else 200
    )


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
def metrics(parts: Annotated[Services, Depends(services)], _caller: WholeReader) -> Response:
    """Return every metric of the registry in the Prometheus text format."""
    return Response(generate_latest(parts.registry), media_type=CONTENT_TYPE_LATEST)
