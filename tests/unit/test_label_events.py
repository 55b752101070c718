"""Labels as they come: ids of any type, classes however they are spelt, key and time in place of an id."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.clock import to_iso
from mlhealth.errors import ConfigError, DataError
from mlhealth.events.batch import ID
from mlhealth.events.json import decode
from mlhealth.events.labels import DecodedLabels, class_index, decode_labels
from mlhealth.events.messages import Messages, Partition
from mlhealth.labels.file import read_label_file
from mlhealth.schema.file import SchemaFile, complete
from mlhealth.schema.model_schema import ModelSchema, Task
from tests.servers.stream import START, loan_rows, loan_schema

SCHEMA = loan_schema()
KEYED = replace(SCHEMA, id=None, key="customer")


def messages(*values: bytes) -> Messages:
    """Return values as messages of one partition, written a second apart."""
    offsets = np.arange(len(values), dtype=np.int64)
    return Messages(
        list(values), offsets, offsets * 1_000_000, (Partition("t", 0),), np.zeros(len(values), np.int32)
    )


def labels(*given: object, schema: ModelSchema = SCHEMA) -> DecodedLabels:
    """Return labels that are one message each."""
    return decode_labels(messages(*(orjson.dumps(value) for value in given)), schema)


@pytest.mark.parametrize("event", ["17", 17, 17.0, "a b", True])
def test_an_id_meets_its_event_however_it_is_typed(event: object) -> None:
    """A label's key is the event's, whether the id is a text, a number or a boolean."""
    row = {**loan_rows(1).drop_columns(["y_true"]).to_pylist()[0], "ts": to_iso(START), "event_id": event}
    keys = decode(messages(orjson.dumps(row)), SCHEMA).batch.array("__key")
    assert labels({"event_id": event, "label": 1}).keys.tolist() == keys.tolist()


def test_classes_are_known_however_they_are_spelt() -> None:
    """1, 1.0, "1", "1.0" and true are one class; what is no class is rejected."""
    found = labels(
        *({"id": "a", "label": value} for value in (1, 1.0, "1", "1.0", True, "true", 0, 2, None, [1]))
    )
    assert found.values == ("1", "1", "1", "1", "1", "1", "0")
    assert len(found.rejections) == 3
    assert class_index([*found.values, None], SCHEMA).tolist() == [1, 1, 1, 1, 1, 1, 0, -1]


def test_values_of_regressors_keep_every_digit() -> None:
    """A number comes back as it was; texts that are none, booleans and infinities are rejected."""
    schema = replace(SCHEMA, task=Task.REGRESSION, classes=(), scores=())
    found = labels(*({"id": "a", "label": v} for v in (0.1 + 0.2, 3, "2.5", "x", True, "inf")), schema=schema)
    assert class_index(found.values, schema).tolist() == [0.1 + 0.2, 3.0, 2.5]
    assert [r.reason for r in found.rejections] == ["the label is not a finite number"] * 3


def test_the_time_of_a_label_is_its_own_word_or_its_messages() -> None:
    """`at` stands; without it the message's time does."""
    found = labels(
        {"id": "a", "label": 1},
        {"id": "b", "label": 1, "at": "1970-01-01T00:00:09Z"},
        {"id": "c", "label": 1},
    )
    assert found.at.tolist() == [0, 9_000_000, 2_000_000]


def test_key_and_time_name_events_without_an_id() -> None:
    """Events get the id of key and time, and a label with both meets its event, whatever the time's spelling."""
    row = loan_rows(1).drop_columns(["y_true"]).to_pylist()[0]
    event = {**row, "ts": to_iso(START), "customer": 7}
    batch = decode(messages(orjson.dumps(event), orjson.dumps({**event, "customer": None})), KEYED).batch
    assert batch.table.column(ID).to_pylist() == [f"7@{START}", None]
    told = [{"customer": "7", "ts": time, "label": 1} for time in (to_iso(START), START // 1_000)]
    found = labels(*told, {"customer": 7, "label": 1}, schema=KEYED)
    assert found.keys.tolist() == [int(batch.array("__key")[0])] * 2
    assert [r.reason for r in found.rejections] == ["the event's time is missing or cannot be read"]


def test_a_schema_names_events_by_id_or_by_key() -> None:
    """`columns.key` needs a timestamp and no id beside it, and its column is no feature."""
    columns = {
        "prediction": "y_pred",
        "score": "y_score",
        "label": "y_true",
        "timestamp": "ts",
        "key": "region",
    }
    table = loan_rows(50).append_column("ts", pa.array([to_iso(START)] * 50))
    found = complete(SchemaFile.model_validate({"model": "m", "columns": columns}), table).schema
    assert found.key == "region"
    assert found.feature_names == ("amount",)
    for change, words in (({"id": "x"}, "columns.id"), ({"timestamp": None}, "columns.timestamp")):
        with pytest.raises(ConfigError, match=words):
            complete(SchemaFile.model_validate({"model": "m", "columns": columns | change}), table)


def test_a_file_is_read_whatever_its_kind(tmp_path: Path) -> None:
    """CSV keeps ids as they are written and skips rows not filled in; Parquet gives the same labels."""
    csv, parquet = tmp_path / "a.csv", tmp_path / "a.parquet"
    csv.write_text("event_id,probability,y_true\n007,0.5,1\n8,0.5,\n9,0.5,0\n10,0.5,maybe\n")
    pq.write_table(pa.table({"event_id": ["007", "9"], "y_true": [1.0, 0.0]}), parquet)
    found, other = read_label_file(csv, SCHEMA, 5), read_label_file(parquet, SCHEMA, 5)
    assert (found.unfilled, [count for _, count in found.faults]) == (1, [1])
    assert found.labels.keys.tolist() == other.labels.keys.tolist()
    assert found.labels.values == other.labels.values == ("1", "0")
    csv.write_text("event_id,y_true\na,\n")
    with pytest.raises(DataError, match="no row has a label yet"):
        read_label_file(csv, SCHEMA, 5)
    csv.write_text("event_id,truth\na,1\n")
    with pytest.raises(DataError, match="'y_true' or 'label'"):
        read_label_file(csv, SCHEMA, 5)


@given(st.binary(max_size=300))
def test_no_body_crashes_the_reading_of_labels(body: bytes) -> None:
    """Whatever the bytes, each is read or rejected."""
    found = decode_labels(messages(body), SCHEMA)
    assert found.rows + len(found.rejections) >= 0


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "label", "at", "__key"]), inner)
        ),
        max_leaves=8,
    )
)
def test_no_document_crashes_the_reading_of_labels(document: object) -> None:
    """Whatever the JSON, every element becomes a label or a rejection."""
    try:
        body = orjson.dumps(document)
    except orjson.JSONEncodeError:
        return
    found = decode_labels(messages(body), SCHEMA)
    rows = len(document) if isinstance(document, list) else 1
    assert found.rows + len(found.rejections) == rows


def test_arrow_bodies_are_told_from_json() -> None:
    """An Arrow stream in a label message is read; a broken one is one rejection."""
    sink = io.BytesIO()
    table = pa.table({"event_id": ["a", "b"], "label": pa.array([1, None], pa.int64())})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    found = decode_labels(messages(sink.getvalue(), sink.getvalue()[:40]), SCHEMA)
    assert found.values == ("1",)
    assert [r.reason for r in found.rejections] == ["the label is missing", "not an Arrow IPC stream"]
