"""A file of production rows → its windows' reports, judged by a baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from mlhealth.baseline.record import Baseline
from mlhealth.budget.evidence import BudgetLimits, Ledger
from mlhealth.clock import HOUR, to_iso
from mlhealth.config.models import ModelConfig
from mlhealth.configured import limits_of, remarks
from mlhealth.errors import ConfigError, DataError
from mlhealth.events.batch import EventBatch
from mlhealth.events.normalise import Origin, normalise
from mlhealth.files.slicing import FileWindow, row_windows, time_windows
from mlhealth.files.tables import read_table, require_columns
from mlhealth.monitor import Evaluator
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import WindowKey, WindowReport
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.segments.splitting import SegmentColumn, segment_columns


@dataclass(frozen=True)
class Production:
    """The usable rows of a file, and sentences on what was wrong with the rest."""

    batch: EventBatch
    timed: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Cut:
    """How a file is cut into windows: by `rows`, or by `width` in microseconds of event time; one of the two."""

    rows: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        if (self.rows is None) == (self.width is None):
            raise ConfigError("give one of --window-rows N and --window DURATION (such as 1h)")
        if self.rows is not None and self.rows < 1:
            raise ConfigError(f"--window-rows is {self.rows}; it must be 1 or more")


@dataclass(frozen=True)
class FileReport:
    """The report of one window of a file; `start` and `end` as shown: ISO times, or row numbers without times."""

    window: int
    start: str | int
    end: str | int
    report: WindowReport


def read_production(path: Path, baseline: Baseline) -> Production:
    """Return the rows of a production file; raises DataError where it lacks a column that cannot be missing."""
    return production_of(read_table(path), baseline, str(path))


def production_of(table: pa.Table, baseline: Baseline, name: str) -> Production:
    """Return the usable rows of a table; `name` is what messages call it. Raises DataError as `read_production`."""
    schema = baseline.schema
    require_columns(table, [schema.prediction], path=name, purpose="columns.prediction")
    require_columns(table, schema.scores, path=name, purpose="columns.score")
    warnings = _missing_features(table.column_names, schema, name)
    found = normalise(table, schema, Origin.file(Path(name).name, table.num_rows))
    if found.rejections:
        reasons = Counter(rejection.reason for rejection in found.rejections)
        if found.batch.rows == 0:
            raise DataError(f"{name}: no row can be used: {reasons.most_common(1)[0][0]}")
        warnings += [f"{name}: {n} rows are left out: {reason}" for reason, n in reasons.most_common(5)]
    timed = schema.timestamp is not None and schema.timestamp in table.column_names
    return Production(found.batch, timed, tuple(warnings))


@dataclass(frozen=True)
class Judging:
    """The false-alarm budget of a file's windows, and the columns by which its rows are told apart.

    `remarks`: what the budget cannot do, one sentence each.
    """

    limits: BudgetLimits
    segments: tuple[SegmentColumn, ...] = ()
    remarks: tuple[str, ...] = ()

    @classmethod
    def default(cls, evaluator: Evaluator, cut: Cut) -> Self:
        """Return the default budget, without segments."""
        return cls(BudgetLimits.of(evaluator.baseline, evaluator.objective, window=cut.width or HOUR))

    @classmethod
    def configured(cls, baseline: Baseline, config: ModelConfig, cut: Cut) -> Self:
        """Return what the service would judge by; windows cut by rows count as the configured length."""
        columns = segment_columns(baseline, config.segments, config.segment_values)
        shares = 1 + sum(len(column.segments) for column in columns)
        found = tuple(remarks(config, shares, cut.width))
        return cls(limits_of(baseline, config, shares, cut.width), columns, found)


def reports(
    production: Production, evaluator: Evaluator, cut: Cut, judging: Judging | None = None
) -> Iterator[FileReport]:
    """Yield the reports of a file's windows in order, the overall one first, then one per segment that has rows.

    `judging`: the false-alarm budget and the segments; by default the default budget, and none.
    """
    judging = judging or Judging.default(evaluator, cut)
    schema, ledger = evaluator.baseline.schema, Ledger()
    for window in _windows(production, cut):
        profile = WindowProfile.of(window.batch, evaluator.baseline.layout)
        start, end = _shown(window, profile, production, cut)
        for segment, batch in _parts(window.batch, judging.segments):
            key = WindowKey(schema.model, schema.version, segment, window.start, window.end)
            own = profile if not segment else WindowProfile.of(batch, evaluator.baseline.layout)
            report, ledger = ledger.judge(evaluator.evaluate(own, key), judging.limits)
            yield FileReport(window.index, start, end, report)


def _parts(batch: EventBatch, columns: Sequence[SegmentColumn]) -> Iterator[tuple[str, EventBatch]]:
    yield "", batch
    for column in columns:
        codes = column.codes(batch.table)
        for place, segment in enumerate(column.segments):
            if (rows := np.flatnonzero(codes == place)).size:
                yield segment, batch.take(rows)


def window_count(production: Production, cut: Cut) -> int:
    """Return how many windows `reports` will yield."""
    if cut.rows is not None:
        return -(-production.batch.rows // cut.rows)
    return len(np.unique(production.batch.array("__time").astype(np.int64) // (cut.width or 1)))


def _windows(production: Production, cut: Cut) -> Iterator[FileWindow]:
    if cut.rows is not None:
        return row_windows(production.batch, cut.rows)
    if not production.timed:
        name = production.batch.schema.timestamp
        why = f"there is no column {name!r}" if name else "the schema has no columns.timestamp"
        raise DataError(f"--window needs event times and {why}; use --window-rows N")
    return time_windows(production.batch, cut.width or 1)


def _shown(
    window: FileWindow, profile: WindowProfile, production: Production, cut: Cut
) -> tuple[str | int, str | int]:
    if not production.timed:
        return window.start, window.end
    if cut.rows is None:
        return to_iso(window.start), to_iso(window.end)
    return to_iso(profile.first or 0), to_iso(profile.last or 0)


def _missing_features(columns: list[str], schema: ModelSchema, name: str) -> list[str]:
    missing = [feature for feature in schema.feature_names if feature not in columns]
    if len(missing) == len(schema.features):
        raise DataError(f"{name}: there is no column {missing[0]!r}, nor any other feature of the baseline")
    return [f"{name}: there is no column {feature!r}: taken as missing in every row" for feature in missing]
