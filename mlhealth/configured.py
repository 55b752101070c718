"""From a model's block of `mlhealth.yaml` to what judges its windows, in the service and on the command line."""

from __future__ import annotations

from dataclasses import replace

from mlhealth.baseline.record import Baseline
from mlhealth.budget.limits import LEAST_WINDOWS, AlarmBudget, BudgetLimits
from mlhealth.clock import DAY, format_duration
from mlhealth.config.models import ModelConfig
from mlhealth.detectors import Season
from mlhealth.detectors.pinned import pinned
from mlhealth.errors import ConfigError
from mlhealth.monitor import EvaluationSettings
from mlhealth.objective import Objective
from mlhealth.scorers.within_budget import ScorerBudget
from mlhealth.segments.splitting import segment_columns

MOST_WINDOWS = 1_000_000.0
"""Windows to one page from which a budget is so tight that hardly anything is found."""


def settings_of(config: ModelConfig, baseline: Baseline) -> EvaluationSettings:
    """Return how the windows of a model are evaluated, but for its scorer; raises ConfigError."""
    return EvaluationSettings(
        level=config.level,
        tolerance=config.tolerance,
        season=None if config.season is None else Season(config.season),
        thresholds=pinned(config.thresholds),
        segments=segment_columns(baseline, config.segments, config.segment_values),
        scorer_budget=ScorerBudget(config.scorer_budget.rows, config.scorer_budget.seconds),
    )


def remarks(config: ModelConfig, shares: int, width: int | None = None) -> list[str]:
    """Return one sentence on each thing that the false-alarm budget cannot do at these windows; none where all is well.

    >>> remarks(ModelConfig(false_alarms="20 per 1d"), 1)[0][:52]
    'a budget of 20 per 1d cannot be spent: a day has 24 '
    """
    accepted, window = config.false_alarms, width or config.every
    metrics = 1 + len(config.guard)
    windows = AlarmBudget(accepted.alarms, accepted.per).windows(window, shares * metrics)
    told = f"{accepted.alarms:g} per {format_duration(accepted.per)}"
    if windows < LEAST_WINDOWS:
        most = accepted.per / window / LEAST_WINDOWS
        most = accepted.per / window / LEAST_WINDOWS
        text = (
            f"a budget of {told} cannot be spent: {_period(accepted.per)} has {accepted.per / window:g} windows, and a "
            f"page needs {LEAST_WINDOWS:g}; it is read as {most:.3g} per {format_duration(accepted.per)}, "
            "or choose shorter windows"
        )
        return [text]
    if windows > MOST_WINDOWS:
        text = (
            f"a budget of {told}, split over {shares * metrics} shares, allows one page in {windows:,.0f} windows of "
            "each: small losses will not be found; guard fewer segments or metrics, or allow more pages"
        )
        return [text]
    return []


def _period(micros: int) -> str:
    return "a day" if micros == DAY else format_duration(micros)


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
    found = BudgetLimits.of(
        baseline,
        objective,
        AlarmBudget(accepted.alarms, accepted.per),
        window=width or config.every,
        segments=shares,
        learning=config.learning,
        further=tuple(Objective.of(metric, baseline.schema) for metric in wanted),
    )
    found = replace(found, every=config.every)
    return found if width is not None else found.overlapping(config.overlap)
