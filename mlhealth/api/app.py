"""`create_app`: the HTTP edge, put together."""

from __future__ import annotations

from fastapi import FastAPI

from mlhealth.api import act, failures, forms, ingest, label_routes, operate, pages, query
from mlhealth.api.access import Sessions
from mlhealth.api.headers import SecurityHeaders
from mlhealth.api.services import Services
from mlhealth.dashboards.web.assets import assets

DESCRIPTION = """Predicted performance, health, drift and alerts of deployed models, without waiting for labels.

All times are integer microseconds since the epoch (UTC). Intervals are 90 % intervals."""


def create_app(services: Services) -> FastAPI:
    """Return the application that serves API and pages; reads nothing but `services`."""
    app = FastAPI(title="mlhealth", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.services = services
    app.state.sessions = Sessions(services.tokens.session_secret())
    app.add_middleware(SecurityHeaders)
    failures.install(app)
    app.include_router(operate.router)
    app.include_router(query.router)
    app.include_router(ingest.router)
    app.include_router(label_routes.router)
    app.include_router(act.router)
    app.include_router(pages.router)
    app.include_router(forms.router)
    app.mount("/static", assets(), name="static")
    return app
