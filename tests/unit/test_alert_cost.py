"""What judging costs."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from mlhealth.alerts.context import example_report
from mlhealth.alerts.engine import step
from mlhealth.alerts.rules import RuleSet
from tests.alert_rules import design_rules, window


@pytest.mark.slow
def test_a_hundred_rules_on_a_hundred_models_take_less_than_a_second_of_cpu() -> None:
    """One round of windows of a hundred models with thirty features, each judged by a hundred rules."""
    rule = design_rules().rules[0]
    rules = RuleSet(tuple(rule.model_copy(update={"alert": f"r{n}"}) for n in range(100)))
    calm = replace(
        example_report(features=tuple(f"f{n}" for n in range(30))), health=window(0, "healthy").health
    )
    reports = [replace(calm, key=replace(calm.key, model=f"m{n}")) for n in range(100)]
    began = time.process_time()
    for report in reports:
        step(rules, report)
    assert time.process_time() - began < 1.0
