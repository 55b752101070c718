"""How a model's challenger may take over without a person; `promotion:` of a model in mlhealth.yaml."""

from __future__ import annotations

from pydantic import Field, model_validator

from mlhealth.config.strict_model import Strict


class PromotionConfig(Strict):
    """What the comparison of champion and challenger alone may do.

    `windows`: common windows, closed since the champion became it, that the comparison rests on. `margin`: how much
    better the challenger must be at least, in the primary metric's unit. `promote`: a version that was never champion
    may become it; `rollback`: one that was may come back. `notify`: receivers that are told.
    """

    windows: int = Field(default=24, ge=2, le=1_000)
    margin: float = Field(default=0.0, ge=0)
    promote: bool = True
    rollback: bool = False
    notify: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _does_something(self) -> PromotionConfig:
        if not (self.promote or self.rollback):
            raise ValueError("allow promote or rollback, or leave promotion out")
        return self
