"""One stretch of a table → its partial profiles: what runs on workers; a pure function of rows and baseline."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from mlhealth.backfill.stretches import Stretch
from mlhealth.backfill.tables.base import Piece
from mlhealth.baseline.files import from_bytes
from mlhealth.config.models import ModelConfig
from mlhealth.errors import DataError
from mlhealth.events.batch import TIME, EventBatch
from mlhealth.events.messages import Messages, Partition
from mlhealth.events.normalise import Origin, normalise
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.sources.base import Address
from mlhealth.store.checkpoints import StoredPartial
from mlhealth.threads import single_threaded
from mlhealth.windows import EARLIEST
from mlhealth.worker.growing import OpenProfiles, Rows, Terms
from mlhealth.worker.models import Runtime


@dataclass(frozen=True)
class Recipe:
    """What every worker must know: the baseline, how windows are cut, and the backfill's name in the store."""

    baseline: bytes = field(repr=False)
    config: ModelConfig
    topic: str


_ready: dict[tuple[str, str], Runtime] = {}


@dataclass(frozen=True)
class StretchProfiles:
    """What became of a stretch: partial profiles, rows by outcome, reasons of rejection, the latest event time."""

    number: int
    partials: tuple[StoredPartial, ...]
    outcomes: Counter[str]
    reasons: Counter[str]
    latest: int | None


@dataclass(frozen=True)
class Profiler:
    """The task of a worker; calling it reads a stretch and profiles it."""

    recipe: Recipe

    def __call__(self, stretch: Stretch) -> StretchProfiles:
        """Return the profiles of a stretch; raises DataError where a piece cannot be read."""
        with single_threaded():
            return profile_stretch(stretch, self.recipe)


def profile_stretch(stretch: Stretch, recipe: Recipe) -> StretchProfiles:
    """Return the partial profiles of a stretch, as the live path would have made them of one partition."""
    runtime = runtime_of(recipe)
    partition = Partition(recipe.topic, stretch.number)
    grown, outcomes, reasons = OpenProfiles(), Counter[str](), Counter[str]()
    latest: int | None = None
    for piece in stretch.pieces:
        batch = _usable(piece, runtime.baseline.schema, reasons)
        outcomes["accepted"] += batch.rows
        if batch.rows:
            _grow(grown, batch, partition, runtime)
            times = batch.array(TIME).astype(np.int64, copy=False)
            latest = max(int(times.max()), latest or 0)
    outcomes["rejected"] = reasons.total()
    return StretchProfiles(stretch.number, tuple(grown.dirty()), outcomes, reasons, latest)


def runtime_of(recipe: Recipe) -> Runtime:
    """Return what profiles and judges by a recipe, kept for the next task of the same backfill."""
    key = (recipe.topic, recipe.config.model_dump_json())
    found = _ready.get(key)
    if found is None:
        _ready.clear()
        found = _ready[key] = Runtime(from_bytes(recipe.baseline), recipe.config)
    return found


def _usable(piece: Piece, schema: ModelSchema, reasons: Counter[str]) -> EventBatch:
    """Return the rows that the schema fits, and count the others by reason."""
    table = _read(piece, schema)
    found = normalise(table, schema, Origin.file(piece.name, table.num_rows, first=piece.first))
    reasons.update(rejection.reason for rejection in found.rejections)
    times = found.batch.array(TIME).astype(np.int64, copy=False)
    ancient = times < EARLIEST
    if not ancient.any():
        return found.batch
    reasons["the event time lies before 1990; is it in another unit?"] += int(ancient.sum())
    return found.batch.take(~ancient)


def _read(piece: Piece, schema: ModelSchema) -> pa.Table:
    try:
        return piece.read(columns_of(schema))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{piece.name}: cannot be read: {str(error).splitlines()[0]}") from None


def columns_of(schema: ModelSchema) -> frozenset[str]:
    """Return the columns of a table that a baseline looks at."""
    return frozenset((*schema.columns, schema.label) if schema.label else schema.columns)


def _grow(grown: OpenProfiles, batch: EventBatch, partition: Partition, runtime: Runtime) -> None:
    schema = runtime.baseline.schema
    zero = np.zeros(1, dtype=np.int64)
    message = Messages((b"",), zero, zero, (partition,), zero.astype(np.int32))
    rows = Rows(Address(schema.model, schema.version), message, batch, np.zeros(batch.rows, dtype=np.int32))
    grown.add(rows, Terms(runtime.spec.pane, lambda start: runtime))
