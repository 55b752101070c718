"""Which baseline speaks for which window of which model version, and everything made ready from it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.baseline.record import Baseline
from mlhealth.budget.evidence import BudgetLimits
from mlhealth.config.models import ModelConfig
from mlhealth.config.service import Config
from mlhealth.configured import limits_of, settings_of
from mlhealth.estimators.row_model import RowModel, row_model
from mlhealth.events.formats.base import Reading, SchemaSource
from mlhealth.labels.kept_sample import KeptSample
from mlhealth.labels.labelled import LabelReader
from mlhealth.monitor import Evaluator
from mlhealth.profile.window_profile import ProfileLayout
from mlhealth.scorers.opening import open_scorer
from mlhealth.segments.splitting import segment_columns
from mlhealth.sources.schema_registry import SchemaRegistry
from mlhealth.store import baselines
from mlhealth.store.database import Database
from mlhealth.windows import WindowSpec

_KEPT = 1_000
"""How many baselines are kept ready; beyond them, each use reads one from the store."""


class Runtime:
    """One baseline at work: how its model's windows are cut, told apart and judged."""

    def __init__(self, baseline: Baseline, config: ModelConfig, registry: SchemaSource | None = None) -> None:
        self.baseline = baseline
        self.config = config
        self._registry = registry
        self.spec = window_spec(config)
        self.segments = segment_columns(baseline, config.segments, config.segment_values)

    @property
    def layout(self) -> ProfileLayout:
        """Where counts lie in this baseline's profiles."""
        return self.baseline.layout

    @property
    def knows_repeated(self) -> bool:
        """Whether events that come again are looked for: by their id, so only where they have one."""
        return self.config.duplicates != "keep" and self.baseline.schema.id is not None

    @property
    def reading(self) -> Reading:
        """How messages of this model version are read."""
        return Reading(self.baseline.schema, self.config.payload, self._registry)

    @cached_property
    def evaluator(self) -> Evaluator:
        """The judge of this baseline's windows, made when first needed; `{version}` in the scorer is filled in."""
        schema = self.baseline.schema
        spec = self.config.scorer and self.config.scorer.replace("{version}", schema.version)
        scorer = open_scorer(spec, schema) if spec else None
        return Evaluator(self.baseline, replace(settings_of(self.config, self.baseline), scorer=scorer))

    @cached_property
    def limits(self) -> BudgetLimits:
        """The false-alarm budget, split evenly over the overall window and the segments."""
        shares = 1 + sum(len(column.segments) for column in self.segments)
        return limits_of(self.baseline, self.config, shares)

    @cached_property
    def labels(self) -> LabelReader:
        """What reads the labels of this baseline's windows."""
        return LabelReader(self.baseline)

    def kept(self, sample: pa.Table | None) -> bytes | None:
        """Return what is kept of a window's sample for labels that come late."""
        if sample is None or sample.num_rows == 0:
            return None
        columns = [column.name for column in self.segments]
        return KeptSample.of(sample, self.baseline.schema, self._row_model, columns).to_bytes()

    @cached_property
    def _row_model(self) -> RowModel:
        return row_model(self.baseline)

    def in_segment(self, table: pa.Table, segment: str) -> NDArray[np.bool_] | None:
        """Return which rows belong to a segment, (n,); None where the table or the configuration does not tell."""
        column = next((c for c in self.segments if segment in c.segments), None)
        if column is None or column.name not in table.column_names:
            return None
        return np.asarray(column.codes(table) == column.segments.index(segment))

    def segment_sample(self, sample: pa.Table | None, segment: str) -> pa.Table | None:
        """Return the rows of an overall sample that belong to a segment."""
        mask = None if sample is None else self.in_segment(sample, segment)
        return sample if sample is None or mask is None else sample.filter(pa.array(mask))


def window_spec(config: ModelConfig) -> WindowSpec:
    """Return how a model's windows are cut."""
    return WindowSpec(
        config.size,
        max(config.lateness, config.window) if config.runs else config.lateness,
        config.revise,
        config.allowance,
        config.empty_windows,
        step=config.pane,
        rows=config.rows or 0,
        every=config.window if config.runs else 0,
    )


class Models:
    """The activations of the store and the baselines they name, read when first needed and kept."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config
        self._latest = -1
        self._active: Mapping[tuple[str, str], tuple[baselines.Activation, ...]] = {}
        self._ready: OrderedDict[str, Runtime] = OrderedDict()
        self.pairing = config.pairing
        self.registry = None if config.schema_registry is None else SchemaRegistry(config.schema_registry)

    def refresh(self) -> bool:
        """Look for new activations; True where there are any."""
        with self._database.read() as connection:
            latest = baselines.latest_activation(connection)
            if latest == self._latest:
                return False
            rows = baselines.activations(connection)
        active: dict[tuple[str, str], tuple[baselines.Activation, ...]] = {}
        for row in rows:
            active[row.model, row.version] = (*active.get((row.model, row.version), ()), row)
        self._active, self._latest = active, latest
        return True

    def knows(self, model: str, version: str) -> bool:
        """Whether a baseline speaks for any window of the model version."""
        return (model, version) in self._active

    def sole_version(self, model: str) -> str:
        """Return the version of events that name none: the configured one, or the only one with a baseline."""
        named = self._config.model(model).payload.version
        known = [version for name, version in self._active if name == model]
        return named or (known[0] if len(known) == 1 else "")

    def versions(self) -> list[tuple[str, str]]:
        """Return every model version for which a baseline speaks."""
        return sorted(self._active)

    def at(self, model: str, version: str, start: int) -> Runtime | None:
        """Return what judges the window that starts at `start`, or None where no baseline speaks for it yet."""
        rows = [a for a in self._active.get((model, version), ()) if a.start <= start]
        return self.ready(max(rows, key=lambda a: (a.start, a.id)).baseline) if rows else None

    def newest(self, model: str, version: str) -> Runtime | None:
        """Return what judges the newest windows of a model version."""
        rows = self._active.get((model, version), ())
        return self.ready(max(rows, key=lambda a: (a.start, a.id)).baseline) if rows else None

    def prepare(self, model: str, version: str) -> list[Runtime]:
        """Read every baseline that speaks for a model version, so that `at` and `newest` need no store."""
        return [self.ready(name) for name in {a.baseline for a in self._active.get((model, version), ())}]

    def ready(self, name: str) -> Runtime:
        """Return the runtime of a baseline by its hash; raises NotFoundError, BaselineError."""
        found = self._ready.get(name)
        if found is None:
            with self._database.read() as connection:
                baseline = baselines.load(connection, name)
            found = Runtime(baseline, self._config.model(baseline.schema.model), self.registry)
            self._ready[name] = found
        self._ready.move_to_end(name)
        while len(self._ready) > _KEPT:
            self._ready.popitem(last=False)
        return found
