"""Rules files: what is read, and what is refused in which words."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from mlhealth.alerts.context import Circumstances, context_of, example_report
from mlhealth.alerts.engine import step
from mlhealth.alerts.expression import Condition, Scope
from mlhealth.alerts.rules import DEFAULT_RULES, Known, json_schema, load_rules, parse_rules
from mlhealth.alerts.state import Span
from mlhealth.clock import HOUR
from mlhealth.errors import ConfigError
from tests.alert_rules import DESIGN_RULE, window

MISTAKES = {
    "misspelt key": ("for: 1", "fro: 1", "r.yaml:5: rules[0].fro: unknown key; did you mean for?"),
    "bad span": ("for: 1 ", "for: 2 parsecs ", "r.yaml:5: rules[0].for: duration '2 parsecs'"),
    "negative span": (
        "for: 1 ",
        "for: -1 ",
        "r.yaml:5: rules[0].for: a number of windows cannot be negative",
    ),
    "twice": ("for: 1 ", "for: 1\n    for: 2 ", "r.yaml:6: rules[0].for: the key stands here twice"),
    "unknown field": (
        "health.status",
        "health.statu",
        "r.yaml:4: rules[0].when: health has no field statu; did you",
    ),
    "unknown variable": (
        "health.status",
        "helth.status",
        "r.yaml:4: rules[0].when: unknown variable helth; did you",
    ),
    "unknown metric": (
        'health.status == "critical"',
        "estimates.acuracy.value < 0.8",
        "unknown metric acuracy; did",
    ),
    "type error": (
        '"critical"',
        '"critical" && rows > "many"',
        'rules[0].when: rows > "many": the types do not fit',
    ),
    "not a condition": (
        'health.status == "critical"',
        "health.score",
        "gives float, but a condition must be true",
    ),
    "assignment": ("status ==", "status =", "not a CEL expression"),
    "unknown filter": (
        "| percent",
        "| procent",
        "annotations.summary: not a template: No filter named 'procent'",
    ),
    "unknown template field": (
        "accuracy.value",
        "accuracy.valeu",
        "annotations.summary: the template fails: ",
    ),
    "unknown template name": ("{{ model }}", "{{ modle }}", "unknown name modle; did you mean model?"),
    "bad severity": (
        "severity: page",
        "severity: panic",
        "r.yaml:6: rules[0].severity: input should be 'page'",
    ),
    "notify not a list": ("[oncall]", "oncall", "r.yaml:8: rules[0].notify: input should be a valid"),
    "missing receiver": (
        "[oncall]",
        "[nobody]",
        "notify[0]: there is no receiver nobody in the configuration",
    ),
    "missing service": ("retrain: gpu", "retrain: cpu", "retrain: there is no training service cpu"),
    "retrain misspelt": (
        "retrain: gpu",
        "retrain: {servce: gpu}",
        "retrain.servce: unknown key; did you mean service?",
    ),
    "bad name": ("PredictedAccuracyDrop", "9to5", "alert: string should match pattern"),
    "no condition": ("when:", "# when:", "rules[0].when: is missing"),
    "not yaml": ("[oncall]", "[oncall", "is not YAML"),
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_one_line_with_file_line_and_key(mistake: str) -> None:
    """Every kind of mistake is refused at load in one line that names where it stands."""
    old, new, expected = MISTAKES[mistake]
    text = DESIGN_RULE.replace(old, new, 1)
    assert text != DESIGN_RULE
    with pytest.raises(ConfigError) as caught:
        parse_rules(text, "r.yaml", Known({"oncall"}, {"gpu"}))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_guides_rule_is_read_as_it_stands() -> None:
    """The rule of the guide loads verbatim and fires with its summary rendered."""
    rules = parse_rules(DESIGN_RULE, known=Known({"oncall"}, {"gpu"}))
    outcome = step(rules, window(0))
    assert outcome.transitions[0].annotations["summary"] == "loan-default answers 81.2 % right, was 87.1 %"
    assert [notice.receiver for notice in outcome.notices] == ["oncall"]
    assert [request.service for request in outcome.requests] == ["gpu"]


def test_the_same_name_twice_is_refused_over_files(tmp_path: Path) -> None:
    """Two files that name one alert are refused, and both places are told."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(DESIGN_RULE)
    with pytest.raises(ConfigError, match=r"b\.yaml:3: .*stands already at .*a\.yaml:3"):
        load_rules([tmp_path / "a.yaml", tmp_path / "b.yaml"])


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """A rules file that is not there is told by its path."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_rules([tmp_path / "none.yaml"])


def test_the_default_rules_load_and_stay_calm_when_healthy() -> None:
    """The shipped rules need no editing, and say nothing about a healthy window."""
    rules = load_rules([DEFAULT_RULES])
    assert {rule.alert for rule in rules.rules} >= {
        "EstimatedHarm",
        "InputBroken",
        "ModelSilent",
        "MonitorLags",
    }
    assert step(rules, window(0, "healthy")).transitions == ()


def test_the_published_schema_takes_the_guides_rule_and_refuses_a_misspelt_key() -> None:
    """An editor that uses the schema sees the same keys as the loader."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(DESIGN_RULE), schema)
    jsonschema.validate(yaml.safe_load(DEFAULT_RULES.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(DESIGN_RULE.replace("for: 1", "fro: 1")), schema)


def test_spans_are_windows_or_time() -> None:
    """`for: 3` counts windows, `for: 2h` measures event time."""
    rules = parse_rules(DESIGN_RULE.replace("for: 1 ", "for: 3\n    keep_firing_for: 2h "))
    assert rules.rules[0].hold.wait == Span(windows=3)
    assert rules.rules[0].hold.keep == Span(micros=2 * HOUR)


@pytest.mark.parametrize(
    "text",
    [
        "drift.exists(f, drift[f].drifted)",
        'drift["feature with space"].statistic > 0.3 || quality["a||b"].missing > 0.5',
        "has(estimates.accuracy) && estimates.accuracy.drop > 0.05",
        'health.reasons.exists(r, r.contains("income")) ? rows > 100 : false',
        "lag.seconds > 60 || volume.rejected > 100",
        'estimates["cost:0,1;5,0"].value > 2.0',
    ],
)
def test_conditions_over_the_whole_report_are_taken(text: str) -> None:
    """Features of any name, parametric metrics, macros and the worker's own measures can be used."""
    Condition(text)


def test_what_is_unknown_is_told_and_not_guessed() -> None:
    """A condition over a value the report does not know is neither true nor false, and says why."""
    scope = Scope(context_of(example_report(metrics=("accuracy",)), Circumstances()))
    for text in ("estimates.mae.value > 3.0", "lag.seconds > 60.0", 'drift["other"].drifted'):
        verdict = Condition(text).evaluate(scope)
        assert verdict.holds is None
        assert verdict.note
    assert Condition('lag.seconds > 60.0 || health.status == "critical"').evaluate(scope).holds is True


def test_a_template_can_do_no_harm_and_never_fails_later() -> None:
    """The sandbox refuses to leave the report, and a value that is unknown later is written as unknown."""
    evil = DESIGN_RULE.replace("{{ model }}", "{{ model.__class__.__mro__ }}")
    with pytest.raises(ConfigError, match="the template fails"):
        parse_rules(evil)
    outcome = step(parse_rules(DESIGN_RULE.replace("accuracy.value", "mae.value")), window(0))
    assert outcome.transitions[0].annotations["summary"] == "loan-default answers unknown right, was 87.1 %"
