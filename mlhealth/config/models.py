"""The block `models` of `mlhealth.yaml`: how each model's windows are cut, judged and alarmed about."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from mlhealth.clock import DAY, parse_duration
from mlhealth.config.payload import PayloadConfig
from mlhealth.config.promotion import PromotionConfig
from mlhealth.config.strict_model import Duration, Strict
from mlhealth.config.windowing import WindowConfig
from mlhealth.errors import ConfigError


def _budget(value: object) -> object:
    text = str(value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s+per\s+(\S+)\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is no budget; write a number of alarms per duration, such as 1 per 90d")
    return {"alarms": float(match[1]), "per": parse_duration(match[2])}


class AlarmBudget(Strict):
    """How many false alarms a user accepts: `alarms` in `per` microseconds."""

    alarms: float = Field(gt=0)
    per: int = Field(gt=0)


def parse_budget(text: str) -> AlarmBudget:
    """Return the budget that a text such as `1 per 90d` names; raises ConfigError."""
    try:
        return AlarmBudget.model_validate(_budget(text))
    except ValueError as error:
        told = str(error) if not isinstance(error, ValidationError) else f"{text!r} allows nothing"
        raise ConfigError(f"false alarms: {told}") from None


class LabelsConfig(Strict):
    """Labels that come late: for how long (`horizon`) they are kept and revise the windows of their events."""

    horizon: Duration = 28 * DAY


class PinnedThreshold(Strict):
    """A threshold pinned in place of the fitted one: a constant, so many standard deviations, or a quantile.

    `column`: of which column; left out, of all that the detector judges. `sigmas`: above what the detector says, in the
    middle, without drift. `quantile`: of what it says without drift.
    """

    detector: str
    column: str | None = None
    constant: float | None = Field(default=None, ge=0)
    sigmas: float | None = Field(default=None, ge=0)
    quantile: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _exactly_one(self) -> PinnedThreshold:
        if sum(value is not None for value in (self.constant, self.sigmas, self.quantile)) != 1:
            raise ValueError("give exactly one of constant, sigmas and quantile")
        return self


class ScorerBudgetConfig(Strict):
    """What one window may ask the scorer: `rows` altogether, and `seconds` of waiting altogether."""

    rows: int = Field(default=20_000, ge=1)
    seconds: float = Field(default=30.0, gt=0)


class ModelConfig(WindowConfig):
    """How the windows of a model are cut (`WindowConfig`) and judged; `default` in `models` speaks for all not named.

    `learning`: windows of a new model version before anything pages; reasons say what would have. `season`: drift
    is judged against the same hour or weekday (UTC) of the reference. `level`: of the intervals. `scorer` asks the
    deployed model, as in `mlhealth estimate --scorer`, within `scorer_budget`: what that does not hold, or what is
    not answered in time, a stand-in answers. `thresholds`: drift thresholds pinned by hand. `guard`: further
    metrics whose loss pages, each for an equal share of the budget. `duplicates`: events whose id the partition
    already brought in the same window are counted, or left out (`remove`), or not looked for (`keep`). `topics`:
    which topics carry the model, where not all may. `promotion`: when a challenger takes over by its comparison
    with the champion alone.
    """

    segments: tuple[str, ...] = ()
    segment_values: int = Field(default=10, ge=1, le=100)
    false_alarms: Annotated[AlarmBudget, BeforeValidator(_budget)] = AlarmBudget(alarms=1, per=90 * DAY)
    learning: int = Field(default=0, ge=0)
    season: Literal["hour", "weekday", "hour_of_week"] | None = None
    metric: str | None = None
    tolerance: float | None = Field(default=None, gt=0)
    level: float = Field(default=0.9, ge=0.5, le=0.99)
    scorer: str | None = None
    scorer_budget: ScorerBudgetConfig = ScorerBudgetConfig()
    duplicates: Literal["count", "remove", "keep"] = "count"
    thresholds: tuple[PinnedThreshold, ...] = ()
    guard: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    labels: LabelsConfig = LabelsConfig()
    payload: PayloadConfig = PayloadConfig()
    promotion: PromotionConfig | None = None
