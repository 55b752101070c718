"""From a model's block of `mlhealth.yaml` to what judges its windows, in the service and on the command line."""

from __future__ import annotations

from mlhealth.baseline import Baseline
from mlhealth.budget_limits import AlarmBudget, BudgetLimits
from mlhealth.config import ModelConfig
from mlhealth.detectors import Season
from mlhealth.detectors.pinned import pinned
from mlhealth.errors import ConfigError
from mlhealth.monitor import EvaluationSettings
from mlhealth.objective import Objective
from mlhealth.segments import segment_columns


def settings_of(config: ModelConfig, baseline: Baseline) -> EvaluationSettings:
    """Return how the windows of a model are evaluated, but for its scorer; raises ConfigError."""
    return EvaluationSettings(
        tolerance=config.tolerance,
        season=None if config.season is None else Season(config.season),
        thresholds=pinned(config.thresholds),
        segments=segment_columns(baseline, config.segments, config.segment_values),
    )


def limits_of(baseline: Baseline, config: ModelConfig, shares: int, width: int | None = None) -> BudgetLimits:
    """Return the false-alarm budget, split evenly over `shares` (the overall window and segments) and metrics.

    `width`: of the windows in microseconds, where not the configured one.
    """
    accepted = config.false_alarms
    objective = Objective.of(baseline.primary, baseline.schema, config.tolerance)
    wanted = [metric for metric in dict.fromkeys(config.guard) if metric != baseline.primary]
    for metric in wanted:
        if metric not in baseline.metrics:
            known = ", ".join(baseline.metrics)
            raise ConfigError(f"guard: the baseline was not fitted with metric {metric!r}: it has {known}")
    return BudgetLimits.of(
        baseline,
        objective,
        AlarmBudget(accepted.alarms, accepted.per),
        window=width or config.window,
        segments=shares,
        learning=config.learning,
        further=tuple(Objective.of(metric, baseline.schema) for metric in wanted),
    )
