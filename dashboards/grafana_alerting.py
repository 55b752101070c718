"""Alert rules and contact points for Grafana: the shipped Prometheus rules, and one for what mlhealth itself fires."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from mlhealth.dashboards.grafana_things import FOLDER, RULES, Document
from mlhealth.errors import ConfigError

PROMETHEUS_RULES = Path(__file__).parent / "prometheus" / "mlhealth.yml"
"""The rules as Prometheus reads them."""
CONTACT_UID = "mlhealth-contact"
CONTACT_NAME = "mlhealth"
CONTACT_TYPES = {
    "email": "addresses",
    "webhook": "url",
    "slack": "url",
    "teams": "url",
    "alertmanager": "url",
    "pagerduty": "integrationKey",
}
"""Kinds of contact points, and which of its settings holds the address."""
_MODELS = {
    "alert": "MlhealthModelAlert",
    "expr": "max by (model, version, segment, rule, severity) (mlhealth_alert_active) > 0",
    "labels": {},
    "annotations": {
        "summary": "{{ $labels.rule }} fires for {{ $labels.model }} {{ $labels.version }}"
        "{{ if $labels.segment }}, {{ $labels.segment }}{{ end }}",
        "__dashboardUid__": "mlhealth-model",
    },
}
"""What mlhealth's own rules fire, within their false-alarm budgets, as one rule with a series for each alert."""


def alert_rules(source: str, receiver: str = "") -> list[Document]:
    """Return the rules that Grafana evaluates over the Prometheus data source of a uid.

    `receiver`: the contact point that is told; "" leaves that to Grafana's notification policies.
    """
    groups = yaml.safe_load(PROMETHEUS_RULES.read_text(encoding="utf-8"))["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    told = [("models", _MODELS), *(("mlhealth", rule) for rule in alerts)]
    return [RULES.marked(_rule(group, rule, source, receiver)) for group, rule in told]


def contact_point(spec: str) -> Document:
    """Return the contact point of a text `kind=address`; raises ConfigError where it is neither."""
    kind, separator, address = spec.partition("=")
    if kind not in CONTACT_TYPES or not separator or not address:
        kinds = ", ".join(CONTACT_TYPES)
        raise ConfigError(f"contact {spec!r} is not understood; write kind=address, with a kind of {kinds}")
    settings = {CONTACT_TYPES[kind]: address}
    return {"uid": CONTACT_UID, "name": CONTACT_NAME, "type": kind, "settings": settings}


def _rule(group: str, rule: dict[str, Any], source: str, receiver: str) -> Document:
    """Return a rule of Prometheus as Grafana's provisioning API takes it.

    An expression of Prometheus returns a series for each thing that is wrong, whatever its value; Grafana wants a
    number that is not 0, hence the second step.
    """
    notified = {"notification_settings": {"receiver": receiver}} if receiver else {}
    return notified | {
        "uid": re.sub(r"(?<!^)(?=[A-Z])", "-", rule["alert"]).lower(),
        "title": rule["alert"],
        "ruleGroup": group,
        "folderUID": FOLDER,
        "orgID": 1,
        "condition": "B",
        "data": [
            _step("A", source, {"expr": rule["expr"], "instant": True, "range": False}),
            _step("B", "__expr__", {"type": "math", "expression": "is_number($A)"}),
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": rule.get("for", "0s"),
        "labels": dict(rule["labels"]),
        "annotations": {name: _template(text) for name, text in rule["annotations"].items()},
        "isPaused": False,
    }


def _step(name: str, source: str, model: Document) -> Document:
    kind = "__expr__" if source == "__expr__" else "prometheus"
    common = {"refId": name, "datasource": {"type": kind, "uid": source}}
    return {
        "refId": name,
        "queryType": "",
        "datasourceUid": source,
        "relativeTimeRange": {"from": 600, "to": 0},
        "model": common | model | {"intervalMs": 1000, "maxDataPoints": 43200},
    }


def _template(text: str) -> str:
    """Return a template of Prometheus in Grafana's words, whose `$value` is a text."""
    return re.sub(r"\{\{ \$value \| (\w+) \}\}", r"{{ \1 $values.A.Value }}", text)
