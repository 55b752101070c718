"""`create_app`: the HTTP edge, put together."""

from __future__ import annotations

from fastapi import FastAPI

from mlhealth.api import (
    act,
    approve,
    baseline_routes,
    cloud_events,
    failures,
    forget_routes,
    forms,
    ingest,
    label_routes,
    live,
    operate,
    pages,
    query,
    token_routes,
    trust,
    version_routes,
)
from mlhealth.api.access import Sessions
from mlhealth.api.headers import SecurityHeaders
from mlhealth.api.limits import Limits
from mlhealth.api.services import Services
from mlhealth.dashboards.web.assets import assets

DESCRIPTION = """Predicted performance, health, drift and alerts of deployed models, without waiting for labels.

All times are integer microseconds since the epoch (UTC). Intervals are 90 % intervals."""


def create_app(services: Services) -> FastAPI:
    """Return the application that serves API and pages; reads nothing but `services`."""
    app = FastAPI(title="mlhealth", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.services = services
    app.state.sessions = Sessions(services.tokens.session_secret())
    app.state.pulse = live.Pulse(services.queries)
    listen = services.listen
    app.add_middleware(Limits, rate=listen.rate, max_body_bytes=listen.max_body_bytes, is_long=_holds_events)
    app.add_middleware(SecurityHeaders)
    failures.install(app)
    app.include_router(operate.router)
    app.include_router(query.router)
    app.include_router(ingest.router)
    app.include_router(label_routes.router)
    app.include_router(cloud_events.router)
    app.include_router(act.router)
    app.include_router(version_routes.router)
    app.include_router(approve.router)
    app.include_router(token_routes.router)
    app.include_router(forget_routes.router)
    app.include_router(baseline_routes.router)
    app.include_router(trust.router)
    app.include_router(live.router)
    app.include_router(pages.router)
    app.include_router(forms.router)
    app.mount("/static", assets(), name="static")
    return app


def _holds_events(path: str) -> bool:
    """Whether a path takes bodies that have a limit of their own."""
    return path.startswith("/v1/") and path.endswith(("/events", "/labels", "/cloudevents", "/baselines"))
