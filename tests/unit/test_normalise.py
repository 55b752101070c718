"""Tables of any usual types become canonical batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from mlhealth.events.batch import KEY, LABEL, PREDICTION, TIME
from mlhealth.events.keys import row_number_keys, text_keys
from mlhealth.events.normalise import ID_FIELD, Normalised, Origin, normalise
from mlhealth.events.text import to_text
from mlhealth.events.timestamps import UNKNOWN, to_micros
from mlhealth.schema.model_schema import canonical_text
from tests.strategies import SCHEMA, table_of

ROW = {
    "income": 1.0,
    "region": "eu",
    "owner": 1,
    "y_pred": 1,
    "y_score": 0.5,
    "ts": 1_700_000_000,
    "event_id": "a",
}
NEW_YEAR = 1_767_225_600_000_000


def normalised(**columns: pa.Array) -> Normalised:
    """Three events, some columns replaced."""
    table = table_of([ROW] * 3)
    for name, column in columns.items():
        at = table.column_names.index(name) if name in table.column_names else None
        table = table.append_column(name, column) if at is None else table.set_column(at, name, column)
    return normalise(table, SCHEMA, Origin.file("f.parquet", 3))


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, 1, 0], type=pa.int8()),
        pa.array([False, True, False]),
        pa.array(["0", "1", "0"]),
        pa.array([0.0, 1.0, 0.0]),
        pa.array(["0", "1", "0"]).dictionary_encode(),
    ],
)
def test_classes_of_any_type_are_the_same_codes(values: pa.Array) -> None:
    """A class is known by its text, however the column stores it."""
    assert normalised(y_pred=values).batch.array(PREDICTION).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, 1, None], type=pa.int8()),
        pa.array([False, True, None]),
        pa.array(["false", "True", None]),
        pa.array([0.0, 1.0, float("nan")]),
    ],
)
def test_booleans_of_any_type_are_the_same_texts(values: pa.Array) -> None:
    """A boolean feature is the text 0 or 1, or missing."""
    assert normalised(owner=values).batch.table.column("owner").to_pylist() == ["0", "1", None]


def test_a_missing_feature_column_is_missing_in_every_row() -> None:
    """A vanished feature rejects nothing: it is missing everywhere."""
    table = table_of([ROW] * 3).drop_columns(["income", "region"])
    found = normalise(table, SCHEMA, Origin.file("f", 3))
    assert np.isnan(found.batch.array("income").astype(float)).all()
    assert found.batch.table.column("region").null_count == 3
    assert found.rejections == ()


def test_rejections_carry_the_row_number() -> None:
    """A bad row is rejected by its own number; the batch holds the others."""
    found = normalised(income=pa.array(["1", "x", "3"]))
    assert found.kept.tolist() == [0, 2]
    assert [(r.source, r.row, r.reason) for r in found.rejections] == [
        ("f.parquet", 1, "income: not a number")
    ]


def test_labels_that_are_missing_or_unknown_are_minus_one() -> None:
    """A label that is no class of the model is no label, and rejects nothing."""
    assert normalised(y_true=pa.array([1, None, 9])).batch.array(LABEL).tolist() == [1, -1, -1]


def test_without_ids_the_row_number_is_the_key() -> None:
    """Rows of a file without ids, or whose id is missing, are known by their number."""
    bare = normalise(table_of([ROW] * 3).drop_columns(["event_id"]), SCHEMA, Origin.file("f", 3))
    assert bare.batch.array(KEY).tolist() == row_number_keys(np.arange(3)).tolist()
    gaps = normalised(event_id=pa.array(["a", None, "c"]))
    assert gaps.batch.array(KEY).tolist() == text_keys(pa.array(["a", "1", "c"])).tolist()


def test_the_reserved_id_field_serves_schemas_without_an_id() -> None:
    """What `replay` writes as ids gives the keys of the file's rows."""
    table = table_of([ROW] * 3).append_column(ID_FIELD, pa.array(["0", "1", "2"]))
    origin = Origin((("topic", 3),), np.zeros(3, np.int32), np.arange(3) + 50, np.zeros(3, np.int64))
    found = normalise(table, replace(SCHEMA, id=None), origin)
    assert found.batch.array(KEY).tolist() == row_number_keys(np.arange(3)).tolist()


@pytest.mark.parametrize(
    ("values", "micros"),
    [
        (["2026-01-01T00:00:00Z"], NEW_YEAR),
        (["2026-01-01T01:30:00+01:30"], NEW_YEAR),
        (["2026-01-01 00:00:00"], NEW_YEAR),
        (["2026-01-01"], NEW_YEAR),
        (["2026-01-01T00:00:00.000001Z"], NEW_YEAR + 1),
        (["1767225600"], NEW_YEAR),
        ([1_767_225_600], NEW_YEAR),
        ([1_767_225_600.5], NEW_YEAR + 500_000),
        ([1_767_225_600_000], NEW_YEAR),
        ([1_767_225_600_000_000], NEW_YEAR),
        ([1_767_225_600_000_000_000], NEW_YEAR),
        ([0], 0),
        (["2100-01-01T00:00:00Z"], 4_102_444_800_000_000),
        (["soon"], UNKNOWN),
        ([float("nan")], UNKNOWN),
        ([None], UNKNOWN),
        ([True], UNKNOWN),
    ],
)
def test_times_of_every_usual_spelling(values: list[object], micros: int) -> None:
    """Texts with and without offset and epoch numbers of any unit are the same moment; in bulk and beside a bad one."""
    assert to_micros(pa.chunked_array([values])).tolist() == [micros]
    if isinstance(values[0], str):
        assert to_micros(pa.chunked_array([[*values, "soon", None]])).tolist() == [micros, UNKNOWN, UNKNOWN]


def test_arrow_timestamps_of_any_zone_are_utc() -> None:
    """A zoned Arrow timestamp is its moment; a naive one is taken as UTC."""
    for zone in (None, "UTC", "Europe/Berlin"):
        column = pa.array([NEW_YEAR // 1000], type=pa.timestamp("ms", tz=zone))
        assert to_micros(pa.chunked_array([column])).tolist() == [NEW_YEAR]


def test_the_event_time_is_the_timestamp_column() -> None:
    """The batch's time is the schema's timestamp, in microseconds."""
    assert normalised().batch.array(TIME).tolist() == [1_700_000_000_000_000] * 3


@pytest.mark.parametrize(
    "values", [[1, 2], [1.0, 2.5, float("nan")], [True, False], ["a", "1.0"], [1e300, 0.1]]
)
def test_bulk_texts_equal_the_canonical_text_of_each_value(values: list[object]) -> None:
    """A column's texts are what `canonical_text` says of each value."""
    expected = [None if v != v else canonical_text(v) for v in values]  # noqa: PLR0124  NaN is missing
    assert to_text(pa.chunked_array([values])).to_pylist() == expected
