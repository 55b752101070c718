"""Rules as code: YAML files, read strictly, compiled and checked when loaded.

Every mistake is one line `file:line: key: what is wrong`. `json_schema()` is the published schema for editors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from mlhealth.alerts.context import context_of, example_circumstances, example_report
from mlhealth.alerts.expression import Condition
from mlhealth.alerts.retraining_policy import RetrainPolicy
from mlhealth.alerts.state import Hold, Span
from mlhealth.alerts.templates import Template
from mlhealth.clock import DAY, parse_duration
from mlhealth.config.strict_yaml import Document, parse, read, validated
from mlhealth.errors import ConfigError
from mlhealth.records import Cause

DEFAULT_RULES = Path(__file__).with_name("default_rules.yaml")
"""The rules that ship with the product and need no editing."""
CHECK_RULES = Path(__file__).with_name("check_rules.yaml")
"""What `mlhealth check` fails a batch for where no rules are named."""

_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


def _span(value: object) -> Span:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ConfigError("write a number of windows, such as 3, or a time, such as 2h")
    if isinstance(value, int):
        if value < 0:
            raise ConfigError("a number of windows cannot be negative")
        return Span(windows=value)
    return Span(micros=parse_duration(value))


def _micros(value: object) -> int:
    if not isinstance(value, str):
        raise ConfigError("write a time with its unit, such as 12h or 7d")
    return parse_duration(value)


def _condition(value: object) -> Condition:
    if not isinstance(value, str):
        raise ConfigError('write a condition as text, such as health.status == "critical"')
    return Condition(value)


def _template(value: object) -> Template:
    if not isinstance(value, str):
        raise ConfigError("write text; put quotes around numbers and around {{ }}")
    template = Template(value)
    template.check(_example_context())
    return template


def _retrain(value: object) -> object:
    return {"service": value} if isinstance(value, str) else value


_span_schema = WithJsonSchema({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]})
SpanText = Annotated[Span, BeforeValidator(_span), _span_schema]
Duration = Annotated[int, BeforeValidator(_micros), WithJsonSchema({"type": "string", "examples": ["7d"]})]
ConditionText = Annotated[Condition, BeforeValidator(_condition), WithJsonSchema({"type": "string"})]
TemplateText = Annotated[Template, BeforeValidator(_template), WithJsonSchema({"type": "string"})]
Name = Annotated[str, Field(pattern=_NAME)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True, populate_by_name=False
    )


class Retrain(_Strict):
    """`retrain: gpu`, or the policy spelt out."""

    service: str
    cooldown: Duration = DAY
    budget: Annotated[int, Field(ge=1)] = 4
    min_rows: Annotated[int, Field(ge=0)] = 0
    min_fresh_rows: Annotated[int, Field(ge=0)] = 0
    min_fresh_labels: Annotated[int, Field(ge=0)] = 0
    approval: bool = False
    sample: Annotated[int, Field(ge=0, le=1_000)] = 50
    even_if_input_is_broken: bool = False

    @property
    def policy(self) -> RetrainPolicy:
        """The policy as the core knows it."""
        refused = frozenset[Cause]() if self.even_if_input_is_broken else frozenset({Cause.BROKEN_INPUT})
        return RetrainPolicy(
            service=self.service,
            cooldown=self.cooldown,
            budget=self.budget,
            min_rows=self.min_rows,
            causes_refused=refused,
            approval=self.approval,
            min_fresh_rows=self.min_fresh_rows,
            min_fresh_labels=self.min_fresh_labels,
            sample=self.sample,
        )


class Rule(_Strict):
    """One alert rule.

    `segments`: whether it also looks at each segment apart, beside the whole window. `models`: the models it looks at;
    empty for all.
    """

    alert: Name
    when: ConditionText
    wait: Annotated[SpanText, Field(alias="for")] = Span(windows=1)
    keep_firing_for: SpanText = Span(windows=0)
    severity: Literal["page", "critical", "warning", "info"] = "warning"
    labels: dict[Name, TemplateText] = {}
    annotations: dict[Name, TemplateText] = {}
    notify: list[str] = []
    retrain: Annotated[Retrain | None, BeforeValidator(_retrain)] = None
    segments: bool = False
    models: list[str] = []

    @property
    def hold(self) -> Hold:
        """The spans of the state machine."""
        return Hold(self.wait, self.keep_firing_for)

    def applies(self, model: str, segment: str) -> bool:
        """Return whether the rule looks at this model and segment ("" is the whole window)."""
        return (self.segments or not segment) and (not self.models or model in self.models)


class RuleFile(_Strict):
    """A rules file."""

    rules: list[Rule]


@dataclass(frozen=True)
class RuleSet:
    """All rules in force, by name in the order of their files."""

    rules: tuple[Rule, ...] = ()
    sources: tuple[str, ...] = field(default=(), compare=False)

    def get(self, name: str) -> Rule | None:
        """Return the rule called `name`, or None."""
        return next((rule for rule in self.rules if rule.alert == name), None)


@dataclass(frozen=True)
class Known:
    """Names that rules may refer to; None where they cannot be checked."""

    receivers: Collection[str] | None = None
    services: Collection[str] | None = None


def load_rules(files: Iterable[Path | str], known: Known = Known()) -> RuleSet:
    """Read rule files into one set; raises ConfigError naming file, line and key of the first mistake."""
    return _combine([read(file) for file in files], known)


def parse_rules(text: str, source: str = "<rules>", known: Known = Known()) -> RuleSet:
    """Read rules from text; raises ConfigError as `load_rules` does."""
    return _combine([parse(text, source)], known)


def rule_data(rule: Rule) -> dict[str, Any]:
    """Return a rule as plain JSON data, under the keys of its file."""
    data: dict[str, Any] = orjson.loads(orjson.dumps(rule.model_dump(by_alias=True), default=_text))
    return data


def _text(value: object) -> str:
    if isinstance(value, Condition | Template):
        return value.text
    raise TypeError(f"{type(value).__name__} is not JSON")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a rules file."""
    schema = RuleFile.model_json_schema(by_alias=True)
    rule, retrain = schema["$defs"]["Rule"]["properties"], schema["$defs"]["Retrain"]["properties"]
    rule["retrain"]["anyOf"] = [{"type": "string"}, *rule["retrain"]["anyOf"]]
    rule["for"]["default"], rule["keep_firing_for"]["default"] = 1, 0
    retrain["cooldown"]["default"] = "1d"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "mlhealth rules"}


def _combine(documents: list[Document], known: Known) -> RuleSet:
    rules: list[Rule] = []
    seen: dict[str, str] = {}
    for document in documents:
        for index, rule in enumerate(validated(document, RuleFile).rules):
            path = ("rules", index)
            if rule.alert in seen:
                raise document.error((*path, "alert"), f"{rule.alert} stands already at {seen[rule.alert]}")
            seen[rule.alert] = f"{document.source}:{document.line((*path, 'alert'))}"
            _check_names(document, path, rule, known)
            rules.append(rule)
    return RuleSet(tuple(rules), tuple(document.source for document in documents))


def _check_names(document: Document, path: tuple[str, int], rule: Rule, known: Known) -> None:
    for index, receiver in enumerate(rule.notify):
        if known.receivers is not None and receiver not in known.receivers:
            raise _unknown(document, (*path, "notify", index), "receiver", receiver, known.receivers)
    if rule.retrain and known.services is not None and rule.retrain.service not in known.services:
        service = rule.retrain.service
        raise _unknown(document, (*path, "retrain"), "training service", service, known.services)


def _unknown(
    document: Document, path: tuple[str | int, ...], kind: str, name: str, known: Collection[str]
) -> ConfigError:
    names = ", ".join(sorted(known)) or "none"
    return document.error(path, f"there is no {kind} {name} in the configuration; known are: {names}")


def _example_context() -> dict[str, Any]:
    context = context_of(example_report(), example_circumstances())
    return context | {
        "severity": "page",
        "alertname": "Example",
        "since": context["window"]["start"],
        "labels": {},
    }
