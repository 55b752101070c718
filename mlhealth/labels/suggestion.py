"""Which rows of a window to have labelled: drawn with recorded probabilities, so that what they say stays unbiased."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sqlalchemy import Connection

from mlhealth.baseline.record import Baseline
from mlhealth.clock import to_iso
from mlhealth.errors import ConfigError, NotFoundError
from mlhealth.estimators.few_labels import (
    expected_half_width,
    inclusion_probabilities,
    labels_needed,
    suggest_labels,
)
from mlhealth.estimators.metric_names import metric_of
from mlhealth.estimators.row_model import plain_row_model
from mlhealth.events.batch import KEY, PREDICTION, TIME, score_columns
from mlhealth.labels.kept_sample import KeptSample
from mlhealth.store import baselines, labels, revising
from mlhealth.store.database import Database
from mlhealth.store.labels import Draw, ModelVersion

HALF_WIDTHS = (0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True)
class Wanted:
    """What is asked for: so many labels, or as many as give the metric to within `half_width`."""

    count: int | None = None
    half_width: float | None = None
    metric: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Suggestion:
    """Rows to be labelled, as a table to fill in, and what labelling them will bring.

    `drawn`: how many rows the draw holds; those that have a label already are not in `table`. `half_width`: about how
    far to either side an interval of `metric` will reach. `needed`: labels it takes for other half-widths.
    """

    table: pa.Table
    drawn: int
    kept: int
    metric: str
    half_width: float
    needed: tuple[tuple[float, int], ...]


def suggest(database: Database, name: ModelVersion, start: int, wanted: Wanted, now: int) -> Suggestion:
    """Draw rows of a closed window and keep the draw; raises NotFoundError where nothing is kept of the window."""
    with database.begin() as connection:
        return suggest_within(connection, name, start, wanted, now)


def suggest_within(
    connection: Connection, name: ModelVersion, start: int, wanted: Wanted, now: int
) -> Suggestion:
    """Do as `suggest` does in the transaction of something else."""
    found = revising.kept_sample(connection, name, start)
    if found is None:
        raise NotFoundError(
            f"model {name[0]} version {name[1]} has no closed window with kept rows that starts at {to_iso(start)}"
        )
    baseline = baselines.load(connection, found[0])
    sample = KeptSample.from_bytes(found[1], baseline.schema)
    earlier = labels.draws(connection, name, start)
    draw, suggestion = _draw(sample, baseline, wanted, _seed(name, start, len(earlier), wanted))
    labels.add_draw(connection, name, start, draw, now)
    labelled = labels.lookup(connection, name, sample.keys)
    open_rows = draw.chosen & ~np.isin(sample.keys, np.array(list(labelled), dtype=np.uint64))
    together = labels.drawn([*earlier, draw], sample.keys)
    assert together is not None
    return Suggestion(_to_fill_in(sample, open_rows, together), *suggestion)


def write(table: pa.Table, path: Path) -> None:
    """Write a table to fill in, as CSV or Parquet by the name of the file."""
    if path.suffix == ".csv":
        arrow_csv.write_csv(table, path)
    elif path.suffix in {".parquet", ".pq"}:
        pq.write_table(table, path)
    else:
        raise ConfigError(f"{path}: write a .csv or .parquet file")


def _draw(
    sample: KeptSample, baseline: Baseline, wanted: Wanted, seed: int
) -> tuple[Draw, tuple[int, int, str, float, tuple[tuple[float, int], ...]]]:
    rows, expected = sample.rows(), sample.expected(plain_row_model(baseline))
    metric = wanted.metric or baseline.primary
    metric_of(metric, baseline.schema)
    if metric == "average_precision":
        raise ConfigError(
            "average_precision cannot be told from part of the labels; ask for roc_auc, or label all rows"
        )
    if wanted.half_width is not None:
        count = labels_needed(rows, expected, metric, wanted.half_width)
    else:
        count = wanted.count or 0
    probabilities = inclusion_probabilities(rows, expected, count)
    chosen = np.zeros(len(sample), np.bool_)
    chosen[suggest_labels(rows, expected, count, np.random.default_rng(seed)).positions] = True
    unit = 1.0 if rows.schema.is_classification else abs(baseline.metrics[metric].value)
    needed = tuple((h * unit, labels_needed(rows, expected, metric, h * unit)) for h in HALF_WIDTHS)
    half = expected_half_width(rows, expected, metric, count)
    return Draw(sample.keys, probabilities, chosen), (int(chosen.sum()), len(sample), metric, half, needed)


def _seed(name: ModelVersion, start: int, number: int, wanted: Wanted) -> int:
    """Return the seed of a draw: the same window and number give the same rows, unless the user names another."""
    return (
        zlib.crc32(f"{name[0]}/{name[1]}/{start}/{number}".encode()) if wanted.seed is None else wanted.seed
    )


def _to_fill_in(
    sample: KeptSample, chosen: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> pa.Table:
    """Return the chosen rows with an empty column for the label."""
    schema, picked = sample.schema, sample.filter(chosen)
    ids = picked.ids
    columns: dict[str, object] = {}
    if any(i is not None for i in ids):
        columns[schema.id or "event_id"] = pa.array(ids, type=pa.string())
    if any(i is None for i in ids):
        columns[KEY] = pa.array([str(key) for key in picked.keys.tolist()])
    columns["time"] = pa.array([to_iso(int(t)) for t in picked.table.column(TIME).to_pylist()])
    answered = picked.table.column(PREDICTION).to_pylist()
    is_class = schema.is_classification
    columns["prediction"] = pa.array([schema.classes[p] for p in answered] if is_class else answered)
    for name, score in zip(schema.scores, score_columns(schema), strict=True):
        columns[name] = picked.table.column(score)
    columns["probability"] = pa.array(probabilities[chosen])
    columns[schema.label or "label"] = pa.nulls(len(picked), pa.string())
    return pa.table(columns)
