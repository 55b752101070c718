"""The pages: which view each address shows, and who may see it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mlhealth.api.access import Caller, Reader, Sessions, WholeReader, own_services, sessions
from mlhealth.api.query import Named, moment
from mlhealth.api.reference import reference
from mlhealth.api.services import Services, services
from mlhealth.dashboards.theme import dark_colours
from mlhealth.dashboards.web.activity import alerts_page, monitor_page, retraining_page
from mlhealth.dashboards.web.audit_page import AuditFilter, audit_page
from mlhealth.dashboards.web.baselines_page import Pair, baselines_page
from mlhealth.dashboards.web.feature_page import FeatureView, feature_page
from mlhealth.dashboards.web.model_page import View, model_page
from mlhealth.dashboards.web.overview import overview, reasons
from mlhealth.dashboards.web.periods import RANGES, REFRESHES
from mlhealth.dashboards.web.render import render, safe_json
from mlhealth.dashboards.web.versions_page import VersusView, versions_page
from mlhealth.dashboards.web.window_page import window_page
from mlhealth.errors import AuthError
from mlhealth.queries.reports import RECENT, Queries
from mlhealth.records import AlertState
from mlhealth.store.tokens import Scope

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Parts = Annotated[Services, Depends(services)]
Cookies = Annotated[Sessions, Depends(sessions)]
_COLOURS = safe_json(json.dumps(dark_colours()))


@dataclass(frozen=True)
class Visit:
    """A page being looked at: by whom, and how often it shall renew itself (seconds, 0 for never)."""

    request: Request
    caller: Caller
    refresh: int = 0

    @property
    def parts(self) -> Services:
        """Return the application's services."""
        return own_services(services(self.request), self.caller)

    @property
    def queries(self) -> Queries:
        """Return what can be asked of the store."""
        return self.parts.queries

    def show(self, template: str, **context: Any) -> Response:
        """Return a page with what every page needs: who looks, how many alerts fire, and the time."""
        cookies = sessions(self.request)
        session = self.caller.session or cookies.new()
        told = {
            "ranges": RANGES,
            "refreshes": REFRESHES,
            "dark_colours": _COLOURS,
            "now": self.parts.clock.now(),
        }
        firing = self.queries.alerts.count(AlertState.FIRING)
        told |= {
            "caller": self.caller,
            "csrf": cookies.csrf(session),
            "firing": firing,
            "refresh": self.refresh,
        }
        told["may_act"] = Scope.OPERATE in self.caller.scopes
        answer = HTMLResponse(render(template, **told, **context))
        if not self.caller.session:
            cookies.attach(answer, self.request, session)
        return answer


def visit(request: Request, caller: Reader, refresh: Annotated[int, Query(ge=0, le=3600)] = 0) -> Visit:
    """Return the visit of a caller who may look."""
    return Visit(request, caller, refresh)


Visited = Annotated[Visit, Depends(visit)]


@router.get("/")
def overview_page(seen: Visited, q: str = "", status: str = "", sort: str = "harm") -> Response:
    """Show every model version, those that need a person first on top."""
    view = overview(seen.queries.versions(), q, status, sort)
    why = reasons(seen.queries, view)
    return seen.show("overview.html", view=view, why=why, here="models", recent=RECENT)


@router.get("/models/{model}/versions/{version}")
def model(seen: Visited, named: Named, view: Annotated[View, Depends(View)]) -> Response:
    """Show how a model version does."""
    page = model_page(seen.queries, named.model, named.version, view)
    return seen.show("model.html", view=page, charts=page.charts, here="models")


@router.get("/models/{model}/versions/{version}/windows/{start}")
def window(seen: Visited, named: Named, start: str, range: str = "") -> Response:  # noqa: A002 - as in the address
    """Show why a window's score is what it is; `range` is the period one came from."""
    page = window_page(seen.queries, named.model, named.version, moment(start))
    return seen.show("window.html", view=page, charts=page.charts, range=range, here="models")


@router.get("/models/{model}/versions/{version}/features/{feature:path}")
def feature(
    seen: Visited, named: Named, feature: str, view: Annotated[FeatureView, Depends(FeatureView)]
) -> Response:
    """Show how a feature has moved, and what was wrong with it."""
    page = feature_page(seen.queries, named.model, named.version, feature, view)
    return seen.show("feature.html", view=page, charts=page.charts, here="models")


@router.get("/models/{model}/versions/{version}/baselines")
def baselines(seen: Visited, named: Named, pair: Annotated[Pair, Depends(Pair)]) -> Response:
    """Show what normal was taken to be, and what a newer baseline changed."""
    page = baselines_page(seen.queries, named.model, named.version, pair)
    return seen.show("baselines.html", view=page, charts=page.charts, here="models")


@router.get("/models/{model}/versions")
def versions(seen: Visited, model: str, view: Annotated[VersusView, Depends(VersusView)]) -> Response:
    """Show a model's versions, and two of them side by side."""
    page = versions_page(seen.queries, model, view)
    return seen.show("versions.html", view=page, charts=page.charts, here="models", recent=RECENT)


@router.get("/audit")
def audit(
    seen: Visited, _whole: WholeReader, wanted: Annotated[AuditFilter, Depends(AuditFilter)]
) -> Response:
    """Show who did what, and whether the trail still holds."""
    return seen.show("audit.html", view=audit_page(seen.queries, wanted), here="audit")


@router.get("/settings")
def settings(seen: Visited, _whole: WholeReader) -> Response:
    """Show how the service is set up."""
    return seen.show("settings.html", view=seen.parts.settings(), here="settings")


@router.get("/alerts")
def alerts(seen: Visited) -> Response:
    """Show what is firing, and what has fired."""
    page = alerts_page(seen.queries, seen.parts.clock.now())
    return seen.show("alerts.html", view=page, charts=page.charts, here="alerts")


@router.get("/alerts/{fingerprint}/useless")
def useless(seen: Visited, fingerprint: str) -> Response:
    """Ask why a page should not have been sent."""
    return seen.show("useless.html", fingerprint=fingerprint, here="alerts")


@router.get("/silences/new")
def new_silence(seen: Visited, matcher: Annotated[list[str] | None, Query()] = None) -> Response:
    """Ask which alerts to hold back, for how long, and why."""
    return seen.show("silence.html", matchers=matcher or [], here="alerts")


@router.get("/retraining")
def retraining(seen: Visited) -> Response:
    """Show what was asked of training services."""
    return seen.show("retraining.html", view=retraining_page(seen.queries), here="retraining")


@router.get("/monitor")
def monitor(seen: Visited) -> Response:
    """Show how the service itself is doing."""
    return seen.show("monitor.html", view=monitor_page(seen.queries, seen.parts.unready()), here="monitor")


@router.get("/docs")
def docs(seen: Visited) -> Response:
    """Show the API's reference, made from its OpenAPI description."""
    return seen.show("docs.html", view=reference(seen.request.app.openapi()), here="docs")


@router.get("/login", name="login_page")
def login_page(request: Request, cookies: Cookies, next: str = "/") -> Response:  # noqa: A002 - as in the address
    """Ask for a token."""
    return _login(request, cookies, next, "")


@dataclass(frozen=True)
class LoginForm:
    """What the login page sends."""

    token: Annotated[str, Form()]
    csrf: Annotated[str, Form()]
    next: Annotated[str, Form()] = "/"


@router.post("/login")
def login(
    request: Request, parts: Parts, cookies: Cookies, form: Annotated[LoginForm, Depends(LoginForm)]
) -> Response:
    """Open a session with a token."""
    cookies.check_csrf(cookies.read(request)[0], form.csrf)
    try:
        known = parts.tokens.verify(form.token, parts.clock.now())
    except AuthError as error:
        return _login(request, cookies, form.next, str(error))
    answer = RedirectResponse(_local(form.next), 303)
    cookies.attach(answer, request, cookies.new(), known.id)
    return answer


@router.post("/logout")
def logout(request: Request, caller: Reader, cookies: Cookies, csrf: Annotated[str, Form()]) -> Response:
    """End the session."""
    cookies.check_csrf(caller.session, csrf)
    answer = RedirectResponse("/login", 303)
    cookies.attach(answer, request, cookies.new())
    return answer


def _local(address: str) -> str:
    """Return `address` where it is a path of this service, else the overview."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else "/"


def _login(request: Request, cookies: Sessions, address: str, error: str) -> Response:
    session = cookies.new()
    page = render("login.html", csrf=cookies.csrf(session), next=_local(address), error=error)
    answer = HTMLResponse(page, 401 if error else 200)
    cookies.attach(answer, request, session)
    return answer
