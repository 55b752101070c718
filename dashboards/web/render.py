"""Templates and the words they may use; everything shown is escaped."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mlhealth.clock import format_duration, to_iso
from mlhealth.dashboards import wording
from mlhealth.dashboards.heat_figures import ratio
from mlhealth.dashboards.web import overview
from mlhealth.dashboards.web.assets import PLOTLY, url
from mlhealth.dashboards.web.sparkline import sparkline
from mlhealth.records import Alert

TEMPLATES = Path(__file__).parent / "templates"
STATUS_WORDS = {
    "healthy": "Healthy",
    "degraded": "Degraded",
    "critical": "Critical",
    "unknown": "Unknown",
}


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the one Jinja environment: autoescaping, and strict about names that are not there."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "ago": wording.ago,
        "brief": wording.shortened,
        "brief_duration": wording.brief_duration,
        "capital": wording.capital,
        "cost": wording.cost_text,
        "column": wording.column_name,
        "duration": format_duration,
        "estimate": wording.estimate_text,
        "interval": wording.interval_text,
        "iso": to_iso,
        "metric": wording.metric_name,
        "moment": wording.moment,
        "number": wording.number,
        "p_value": wording.p_value,
        "ratio": ratio,
        "segment": path,
        "share": share,
        "sparkline": sparkline,
        "value": wording.metric_value,
    }
    found.globals |= {
        "asset": url,
        "feature_url": feature_url,
        "change_of": overview.change_text,
        "difference_of": wording.difference_of,
        "headline": wording.headline,
        "interval_of": overview.interval_text,
        "model_url": model_url,
        "plotly": PLOTLY,
        "query": query,
        "reference_of": overview.reference_text,
        "silence_url": silence_url,
        "span": wording.span,
        "status_words": STATUS_WORDS,
        "value_of": overview.value_text,
        "versions_url": versions_url,
        "window_url": window_url,
    }
    return found


def render(template: str, **context: Any) -> str:
    """Return a page as HTML; what a base page needs and `context` lacks has quiet defaults."""
    quiet: dict[str, Any] = {
        "caller": None,
        "csrf": "",
        "firing": 0,
        "here": "",
        "refresh": 0,
        "now": 0,
        "charts": (),
        "may_act": False,
    }
    return environment().get_template(template).render(quiet | context)


def path(text: str) -> str:
    """Return `text` as one segment of a path."""
    return quote(text, safe="")


def model_url(model: str, version: str, **parameters: object) -> str:
    """Return the address of a model version's page."""
    return f"/models/{path(model)}/versions/{path(version)}{query(**parameters)}"


def versions_url(model: str) -> str:
    """Return the address of the page of a model's versions."""
    return f"/models/{path(model)}/versions"


def feature_url(model: str, version: str, feature: str) -> str:
    """Return the address of a feature's page."""
    return f"{model_url(model, version)}/features/{path(feature)}"


def window_url(model: str, version: str, start: int) -> str:
    """Return the address of a window's page."""
    return f"{model_url(model, version)}/windows/{start}"


def silence_url(alert: Alert) -> str:
    """Return the address of a form that silences one rule's alerts of one model version."""
    named = {"alertname": alert.rule, "model": alert.model, "version": alert.version}
    matchers = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in named.items()]
    return f"/silences/new?{urlencode({'matcher': matchers}, doseq=True)}"


def query(**parameters: object) -> str:
    """Return a query string of the parameters that say something."""
    told = {name: value for name, value in parameters.items() if value not in (None, "", 0)}
    return f"?{urlencode(told)}" if told else ""


def share(value: float | None) -> str:
    """Return a fraction in percent, with the small ones told apart from none.

    >>> share(0.0), share(0.0004), share(0.123)
    ('0 %', '< 0.1 %', '12.3 %')
    """
    if value is None:
        return wording.UNKNOWN
    if value == 0:
        return "0 %"
    return "< 0.1 %" if value < 0.001 else f"{100 * value:.1f} %"


def safe_json(text: str) -> Markup:
    """Return JSON that may stand inside a script element: it holds no `<`."""
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704
