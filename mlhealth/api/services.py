"""What the HTTP edge stands on, passed in once by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from fastapi import Request
from prometheus_client import CollectorRegistry

from mlhealth.alerts.model_registry import ModelRegistry
from mlhealth.api.door import Door
from mlhealth.api.oidc import Oidc
from mlhealth.clock import Clock, SystemClock
from mlhealth.config.listen import ListenConfig
from mlhealth.dashboards.web.settings_page import SettingsPage
from mlhealth.queries.reports import Queries
from mlhealth.store.tokens import Tokens


def _all_ready() -> Sequence[str]:
    return ()


def _no_settings() -> SettingsPage | None:
    return None


@dataclass(frozen=True)
class Services:
    """Parts that routes use. `host` is the address served; `unready` returns a sentence per part that is not ready.

    `door`: where events come in; None where no source is an inbox. `oidc`: who knows the bearers of JWTs. `allow_open`:
    whether anyone may do anything while there is no token.
    `settings`: how the service is set up, for people. `models`: the registry that promotions are told to.
    """

    queries: Queries
    tokens: Tokens
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    clock: Clock = field(default_factory=SystemClock)
    host: str = "127.0.0.1"
    unready: Callable[[], Sequence[str]] = _all_ready
    door: Door | None = None
    oidc: Oidc | None = None
    allow_open: bool = False
    listen: ListenConfig = field(default_factory=ListenConfig)
    settings: Callable[[], SettingsPage | None] = _no_settings
    models: ModelRegistry | None = None


def services(request: Request) -> Services:
    """Return the services of the application that a request came to (a FastAPI dependency)."""
    return cast("Services", request.app.state.services)
