"""Events in Arrow streams mean the same as events in JSON."""

from __future__ import annotations

import numpy as np
import orjson
import pyarrow as pa

from mlhealth.events import arrow, json
from mlhealth.events.messages import Messages, Partition
from tests.servers.stream import loan_events, loan_schema


def messages_of(values: list[bytes]) -> Messages:
    """Return messages of one partition."""
    count = len(values)
    zeros = np.zeros(count, dtype=np.int64)
    return Messages(values, np.arange(count) + 7, zeros, (Partition("t", 3),), zeros.astype(np.int32))


def stream_of(events: list[bytes], *, without: str = "") -> bytes:
    """Return the events as one Arrow stream, without one column."""
    table = pa.Table.from_pylist([orjson.loads(event) for event in events])
    table = table.drop_columns([without]) if without else table
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def test_arrow_and_json_give_equal_batches() -> None:
    """The same events in two Arrow messages and in as many JSON messages give the same columns, keys included."""
    events = loan_events(50)
    from_json = json.decode(messages_of(events), loan_schema())
    from_arrow = arrow.decode(messages_of([stream_of(events[:20]), stream_of(events[20:])]), loan_schema())
    assert from_arrow.batch.table.equals(from_json.batch.table)
    assert from_arrow.message.tolist() == [0] * 20 + [1] * 30
    assert from_arrow.rejections == ()


def test_a_broken_stream_costs_one_message() -> None:
    """Bytes that are no Arrow stream are rejected with their address; the messages around them are read."""
    events = loan_events(10)
    found = arrow.decode(
        messages_of([stream_of(events), b"rubbish", stream_of(events)[:-40], b""]), loan_schema()
    )
    assert found.batch.rows == 10
    assert sorted((r.source, r.partition, r.offset) for r in found.rejections) == [
        ("t", 3, 8),
        ("t", 3, 9),
        ("t", 3, 10),
    ]


def test_streams_with_different_columns_are_read_side_by_side() -> None:
    """A stream that lacks a feature has it missing in its rows; one that lacks the prediction is rejected."""
    events = loan_events(10)
    values = [
        stream_of(events[:4], without="amount"),
        stream_of(events[4:8]),
        stream_of(events[8:], without="y_pred"),
    ]
    found = arrow.decode(messages_of(values), loan_schema())
    missing = np.isnan(found.batch.array("amount").astype(np.float64))
    assert missing[found.message == 0].all()
    assert not missing[found.message == 1].any()
    assert [(r.offset, r.row) for r in found.rejections] == [(9, 0), (9, 1)]


def test_nothing_readable_is_an_empty_batch() -> None:
    """When every stream is broken the batch is empty and has its columns."""
    found = arrow.decode(messages_of([b"rubbish"]), loan_schema())
    assert (found.batch.rows, len(found.rejections)) == (0, 1)
    assert "amount" in found.batch.table.column_names
