"""How the windows of a model are cut: the part of a model's block that speaks of time."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from mlhealth.clock import MINUTE, SECOND, format_duration
from mlhealth.config.strict_model import Duration, Strict

RUN = SECOND
"""Length of the window of a run: its rows have one event time."""
MOST_PANES = 100
"""Panes of a sliding window at most: each window merges so many."""


def _or_zero(value: object) -> object:
    return "1ms" if value in {0, "0", "0s"} else value


DurationOrZero = Annotated[Duration, BeforeValidator(_or_zero)]
"""As `Duration`; `0s`, for none at all, is the least there is."""


class WindowConfig(Strict):
    """Which windows a model's events fall in, and until when a window takes them.

    `window`: its length. `slide`: with it, there is a report on the last `window` every `slide`. `rows`: for slow
    models, windows of length `window` are joined until they hold at least so many rows, or are `longest` (24 windows)
    long together. `runs`: each run of a batch job is a window: all its rows have one event time, when the run began; it
    closes when its log falls silent or a later run comes, and `window` says about how often runs come. `disorder`: how
    far out of order events of one partition usually come; a window closes that much later. `lateness`: how much later
    still a row may come and revise the window, at most once per `revise`. `allowance`: how far ahead of its message's
    own timestamp an event may claim to be. `empty_windows`: how many windows without rows are reported in one stretch.
    """

    window: Duration = 60 * MINUTE
    slide: Duration | None = None
    rows: int | None = Field(default=None, ge=1)
    longest: Duration | None = None
    runs: bool = False
    lateness: DurationOrZero = 15 * MINUTE
    disorder: DurationOrZero = 5 * SECOND
    revise: Duration = 5 * MINUTE
    allowance: Duration = 5 * MINUTE
    empty_windows: int = Field(default=24, ge=0)

    @model_validator(mode="after")
    def _windows_are_whole_panes(self) -> WindowConfig:
        if (self.slide is not None) + (self.rows is not None) + self.runs > 1:
            raise ValueError("slide, rows, runs: windows slide, are counted or are runs; choose one")
        if self.slide is not None and (
            self.window % self.slide or not 1 < self.window // self.slide <= MOST_PANES
        ):
            raise ValueError(
                f"slide: {format_duration(self.window)} must be 2 to {MOST_PANES} times as long as"
                f" {format_duration(self.slide)}"
            )
        if self.longest is not None and (self.rows is None or self.longest % self.window):
            raise ValueError("longest: goes with rows, and must be a multiple of window")
        return self

    @property
    def pane(self) -> int:
        """The length of a pane: rows of one pane are counted together, and windows end with one."""
        return RUN if self.runs else self.slide or self.window

    @property
    def every(self) -> int:
        """About how much event time goes by from one window to the next."""
        return self.window if self.runs else self.pane

    @property
    def size(self) -> int:
        """The length of a window, of counted ones the greatest."""
        if self.runs:
            return RUN
        return self.window if self.rows is None else self.longest or 24 * self.window

    @property
    def overlap(self) -> int:
        """In how many windows each row is."""
        return 1 if self.slide is None else self.window // self.slide
