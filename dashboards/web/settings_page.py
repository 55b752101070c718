"""How the service is set up, for people who look at it: never a secret, and of addresses the host alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from mlhealth.alerts.rules import Rule, RuleSet
from mlhealth.alerts.state import Span
from mlhealth.clock import format_duration
from mlhealth.config.models import ModelConfig
from mlhealth.config.service import Config
from mlhealth.config.sources import SourceConfig


@dataclass(frozen=True)
class RuleLine:
    """A rule in force."""

    name: str
    when: str
    wait: str
    severity: str
    notify: tuple[str, ...]
    retrain: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class SettingsPage:
    """What the page shows, as names and values; `models` by name, `others` are receivers and training services."""

    service: Mapping[str, str]
    sources: tuple[tuple[str, str], ...]
    models: Mapping[str, Mapping[str, str]]
    rules: tuple[RuleLine, ...]
    files: tuple[str, ...]
    receivers: Mapping[str, str]
    training: Mapping[str, str]


def settings_page(config: Config, rules: RuleSet) -> SettingsPage:
    """Return how a service is set up."""
    listen = config.listen
    service = {
        "people reach it at": config.address,
        "it listens on": f"{listen.host}:{listen.port}",
        "transport": "HTTPS" if listen.tls else "HTTP (put TLS in front)",
        "who may come in": _guard(config),
        "store": config.store.partition(":")[0].partition("+")[0],
        "checkpoint every": format_duration(config.checkpoint),
        "model registry": "MLflow" if config.registry else "none",
    }
    return SettingsPage(
        service=service,
        sources=tuple(_source(source) for source in config.sources),
        models={
            name: _model(block) for name, block in {"default": config.model(""), **config.models}.items()
        },
        rules=tuple(_rule(rule) for rule in rules.rules),
        files=tuple(PurePath(source).name for source in rules.sources),
        receivers={name: receiver.kind for name, receiver in config.receivers.items()},
        training={name: job.kind for name, job in config.training.items()},
    )


def _guard(config: Config) -> str:
    if config.listen.oidc is not None:
        return f"tokens, and people known to {config.listen.oidc.issuer}"
    return (
        "anyone who can reach it" if config.listen.allow_open else "tokens (anyone here, until there is one)"
    )


def _source(source: SourceConfig) -> tuple[str, str]:
    if source.kafka is not None:
        kafka = source.kafka
        told = f"topics {', '.join(kafka.topics) or kafka.pattern} at {kafka.bootstrap}, group {kafka.group}"
        return "Kafka", told + (f", dead letters to {kafka.dead_letters}" if kafka.dead_letters else "")
    if source.files is not None:
        return "files", f"{source.files.folder}/{source.files.pattern}"
    return "HTTP inbox", "events sent to /v1/models/MODEL/versions/VERSION/events"


def _model(block: ModelConfig) -> dict[str, str]:
    budget = block.false_alarms
    return {
        "window": format_duration(block.window),
        "lateness": format_duration(block.lateness),
        "false alarms": f"{budget.alarms:g} per {format_duration(budget.per)}",
        "segments": ", ".join(block.segments) or "none",
        "metric": block.metric or "the task's own",
        "tolerance": "fitted" if block.tolerance is None else f"{block.tolerance:g}",
        "labels wait": format_duration(block.labels.horizon),
        "asks the model": "yes" if block.scorer else "no",
    }


def _rule(rule: Rule) -> RuleLine:
    return RuleLine(
        rule.alert,
        rule.when.text,
        _span(rule.wait),
        rule.severity,
        tuple(rule.notify),
        rule.retrain.service if rule.retrain else "",
        tuple(rule.models),
    )


def _span(span: Span) -> str:
    if span.micros is not None:
        return format_duration(span.micros)
    return "at once" if span.windows in (None, 0, 1) else f"{span.windows} windows"
