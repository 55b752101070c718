"""What a false-alarm budget costs at a user's own traffic, drawn for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlhealth.baseline.record import Baseline
from mlhealth.budget.cost import LONGEST, Found, cost
from mlhealth.budget.limits import BudgetLimits
from mlhealth.clock import format_duration, parse_duration
from mlhealth.config.models import ModelConfig, parse_budget
from mlhealth.config.service import load
from mlhealth.configured import limits_of, remarks
from mlhealth.objective import Objective
from mlhealth.segments.splitting import segment_columns

ROWS = 1_000
"""Rows of a window where the user names no other number."""


@dataclass(frozen=True)
class Traffic:
    """What a user says of windows and pages; None is what the configuration says, or its default."""

    config: Path | None = None
    window: str | None = None
    rows: int = ROWS
    false_alarms: str | None = None

    def model(self, name: str) -> ModelConfig:
        """Return the model's configuration with what was said on the command line."""
        block = ModelConfig() if self.config is None else load(self.config).model(name)
        said: dict[str, object] = {}
        if self.window is not None:
            said["window"] = parse_duration(self.window)
        if self.false_alarms is not None:
            said["false_alarms"] = parse_budget(self.false_alarms)
        return block.model_copy(update=said)


def budget_picture(baseline: Baseline, traffic: Traffic) -> RenderableType:
    """Return which lasting loss the budget lets be found at this traffic, within how long, and which not."""
    config = traffic.model(baseline.schema.model)
    columns = segment_columns(baseline, config.segments, config.segment_values)
    shares = 1 + sum(len(column.segments) for column in columns)
    limits = limits_of(baseline, config, shares)
    notes = [Text(f"note: {text}", style="yellow") for text in remarks(config, shares)]
    return Group(_table(limits, config, traffic.rows, shares), *notes, Text())


def _table(limits: BudgetLimits, config: ModelConfig, rows: int, shares: int) -> RenderableType:
    accepted = config.false_alarms
    split = shares * (1 + len(limits.others))
    pages = (
        f"False-alarm budget: {accepted.alarms:g} per {format_duration(accepted.per)}"
        + (f", split over {split} shares" if split > 1 else "")
        + f": at most one false page in {limits.windows_per_incident:,.0f} windows of "
        f"{format_duration(config.window)} and {rows:,} rows"
    )
    found = cost(rows, limits)
    if not found:
        return Text(
            f"{pages}; the reference is too short to tell how soon a loss would be found", style="bold"
        )
    table = Table(title=pages, title_justify="left", title_style="bold", header_style="bold")
    table.add_column(f"lasting loss of {limits.objective.metric}", justify="right")
    table.add_column("pages in 85 of 100 cases within")
    for one in found:
        table.add_row(_loss(one, limits.objective), _time(one, config.window))
    return Group(
        table,
        Text("Losses that show in the inputs; what labels alone can show is not found before they come."),
    )


def _loss(found: Found, objective: Objective) -> str:
    return f"{found.loss:.0%}" if objective.relative else f"{100 * found.loss:.3g} points"


def _time(found: Found, window: int) -> str:
    if found.windows is None:
        return f"not within {LONGEST} windows ({format_duration(LONGEST * window)})"
    return f"{found.windows} windows ({format_duration(found.windows * window)})"
