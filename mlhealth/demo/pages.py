"""The demo's pages: the service's own, served beside the story as it goes on."""

from __future__ import annotations

import threading

import uvicorn

from mlhealth.api.app import create_app
from mlhealth.api.services import Services
from mlhealth.dashboards.web.settings_page import settings_page
from mlhealth.demo.run import Stage
from mlhealth.queries.reports import Queries
from mlhealth.store.tokens import Tokens


def serve(stage: Stage) -> threading.Thread:
    """Answer at `stage.address` from a thread of this process until it ends; return the thread."""
    services = Services(
        queries=Queries(stage.service.database),
        tokens=Tokens(stage.service.database),
        registry=stage.service.metrics.registry,
        clock=stage.clock,
        settings=lambda: settings_page(stage.service.config, stage.service.rules.rules),
    )
    config = uvicorn.Config(
        create_app(services),
        "127.0.0.1",
        stage.port,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    thread = threading.Thread(target=uvicorn.Server(config).run, name="demo-pages", daemon=True)
    thread.start()
    stage.tell(f"the pages are at {stage.address}")
    return thread
