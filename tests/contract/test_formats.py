"""Every wire format says of the same events the same, and nothing that a message holds breaks it."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhealth.events.arrow_stream import written
from mlhealth.events.batch import KEY, WEIGHT
from mlhealth.events.formats.base import formats
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages, Partition
from tests.format_writers import LOANS, WRITERS, Shape, decoded
from tests.fuzzing import Fuzzer
from tests.strategies import SCHEMA, contents

NAMES = sorted(formats())
START = 1_767_225_600_000_000
EVENTS: list[dict[str, Any]] = [
    {
        "ts": START + i * 1_000_000,
        "event_id": f"e{i}",
        "income": 10.5 * i - 3.25,
        "region": ("eu", "us", "asia, south")[i % 3],
        "owner": i % 2,
        "y_pred": i % 2,
        "y_score": 0.1 + i / 20,
    }
    for i in range(8)
]
RUBBISH = (
    b"",
    b"{",
    b"null",
    b"[1]",
    b"\xff\xfe\x00",
    b"{}",
    b"\0\0\0\0\7",
    b"\0\0\0\0\x08\x02",
    b"CE1 []\n",
    b"CE2 9\n",
)


def messages_of(values: list[bytes]) -> Messages:
    """Return values as consecutive messages of one partition."""
    n = len(values)
    stamps = np.full(n, START, dtype=np.int64)
    return Messages(values, np.arange(n), stamps, (Partition("t", 0),), np.zeros(n, dtype=np.int32))


@pytest.mark.parametrize("name", NAMES)
def test_every_format_reads_the_same_events(name: str) -> None:
    """Ids, times, features, predictions and scores come out as from native JSON, value for value."""
    found = decoded(name, messages_of(WRITERS[name](EVENTS, LOANS)))
    expected = decoded("json", messages_of(WRITERS["json"](EVENTS, LOANS)))
    assert found.rejections == ()
    assert contents(found.batch.table) == contents(expected.batch.table)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("said", ["weight", "sampling_fraction"])
def test_every_format_carries_weights(name: str, said: str) -> None:
    """A weight, or a sampling fraction, beside the features comes out as how many events the row stands for."""
    shape = Shape("loans", {**LOANS.features, "logged": "FP64"})
    named: dict[str, Any] = {said: "logged"}
    schema = replace(SCHEMA, **named)
    given = [1.0, 2.5, 10.0, 100.0, 1.0, 8.0, 3.0, 20.0]
    events = [
        {**event, "logged": weight if said == "weight" else 1.0 / weight}
        for event, weight in zip(EVENTS, given, strict=True)
    ]
    found = decoded(name, messages_of(WRITERS[name](events, shape)), shape, schema)
    assert found.rejections == ()
    assert found.batch.array(WEIGHT).tolist() == pytest.approx(given)


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_message_costs_itself_alone(name: str) -> None:
    """Rubbish before, between and after good messages is rejected by its own offset; all good ones are read."""
    good = WRITERS[name](EVENTS, LOANS)
    values = [b"{", *good[:2], b"\xff\xff", *good[2:], b"[]"]
    found = decoded(name, messages_of(values))
    assert found.batch.rows == len(EVENTS)
    if not formats()[name].is_paired:
        assert {r.offset for r in found.rejections} == {0, 1 + min(len(good), 2), len(values) - 1}


def _told(found: Decoded) -> tuple[list[tuple[int, str]], list[dict[str, Any]]]:
    """Return what a batch came to: rejections, and events in some fixed order; a weight of one is none."""
    rejections = sorted((r.offset, r.reason) for r in found.rejections)
    table = found.batch.table.append_column("message", pa.array(found.message))
    events = [
        {name: value or 0.0 if isinstance(value, float) else value for name, value in sorted(event.items())}
        for event in table.drop_columns([KEY]).to_pylist()
    ]
    return rejections, sorted(
        ({k: v for k, v in e.items() if (k, v) != (WEIGHT, 1.0)} for e in events), key=repr
    )


@pytest.mark.parametrize("name", sorted(name for name in NAMES if not formats()[name].is_paired))
@pytest.mark.parametrize("harm", [0.02, 0.3, 1.0])
def test_neighbours_change_nothing(name: str, harm: float) -> None:
    """Good, odd and damaged messages come to the same together as each by itself: reasons, values and all."""
    fuzzer = Fuzzer(name, seed=7)
    for _ in range(4):
        values = fuzzer.inputs(60, harm)
        alone = [_told(decoded(name, messages_of([value]))) for value in values]
        rejections = sorted((i, reason) for i, (found, _) in enumerate(alone) for _, reason in found)
        events = [{**event, "message": i} for i, (_, found) in enumerate(alone) for event in found]
        together = _told(decoded(name, messages_of(values)))
        assert together[0] == rejections
        assert list(map(repr, together[1])) == sorted(map(repr, events))


def _account(name: str, values: list[bytes]) -> None:
    """Each message gives events or rejections; halves without their others are the pairing's to count."""
    messages = messages_of(values)
    found = decoded(name, messages)
    assert len(found.message) == found.batch.rows
    if not formats()[name].is_paired:
        seen = set(found.message.tolist()) | {r.offset for r in found.rejections}
        assert seen <= set(range(len(values)))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from(RUBBISH)), max_size=6))
def test_no_bytes_break_a_format(name: str, values: list[bytes]) -> None:
    """Any bytes are read or rejected, never an exception."""
    _account(name, values)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["inputs", "outputs", "instances", "predictions", "name", "shape", "data", "request",
                             "response", "dataframe_split", "columns", "captureData", "id", "time", "y_pred"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


def mutated(value: bytes, seed: int) -> bytes:
    """Return a message with some of its bytes changed, doubled or cut."""
    rng = random.Random(seed)
    body = bytearray(value)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(body)) if body else 0
        choice = rng.random()
        if choice < 0.5 and body:
            body[at] = rng.randrange(256)
        elif choice < 0.7:
            body = body[:at]
        elif choice < 0.85:
            body[at:at] = body[at : at + rng.randint(1, 30)]
        else:
            body[at:at] = rng.choice([b"[", b"{", b"null", b"1e999", b"-1", b'"', b"\xff"])
    return bytes(body)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_no_damage_breaks_a_format(name: str, seed: int) -> None:
    """Damaged good messages are read or rejected, never an exception."""
    good = WRITERS[name](EVENTS[:3], LOANS)
    _account(name, [mutated(value, seed + i) for i, value in enumerate(good)])


@pytest.mark.parametrize("name", ["inference", "databricks", "sagemaker", "bentoml", "kserve"])
@settings(max_examples=60, deadline=None)
@given(json_values, json_values)
def test_no_json_breaks_a_format(name: str, request: object, response: object) -> None:
    """Any JSON in the place of a body is read or rejected, never an exception."""

    def dumped(value: object) -> bytes:
        try:
            return orjson.dumps(value)
        except TypeError:
            return b"0"

    a, b = dumped(request), dumped(response)
    shapes = {
        "inference": [b'{"id": "x", "request": %b, "response": %b}' % (a, b)],
        "databricks": [b'{"request": %b, "response": %b}' % (a, b)],
        "sagemaker": [
            b'{"captureData": {"endpointInput": {"data": %b, "encoding": "JSON"}, "endpointOutput": '
            b'{"data": %b, "encoding": "CSV"}}, "eventMetadata": {"eventId": "1"}}' % (a, b)
        ],
        "bentoml": [b'{"y_pred": %b, "income": %b}' % (a, b)],
        "kserve": [
            b'{"specversion": "1.0", "id": "1", "type": "a.request", "data": %b}' % a,
            b'{"specversion": "1.0", "id": "1", "type": "a.response", "data": %b}' % b,
        ],
    }
    _account(name, shapes[name])


@pytest.mark.parametrize("name", NAMES)
def test_two_thousand_damaged_messages_break_nothing(name: str) -> None:
    """A share of what `make bench-fuzz` sends: no exception, no slow case, no reason that a sender can fill."""
    found = Fuzzer(name).run(2_000)
    assert found.inputs == 2_000
    assert found.crashes == []
    assert found.slow == []
    assert found.rows > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seldon", b"CE1 7\nx"),
        ("sagemaker", (b'{"captureData": {"endpointInput": {"data": "1,eu,1", "encoding": "CSV"}, "endpointOutput": '
         b'{"data": "1,0.5", "encoding": "CSV"}}, "eventMetadata": {"eventId": [1.5]}}')),
        ("json", b'{"y_pred": ' + b"9" * 400 + b"}"),
        ("inference", b'{"request": {"instances": [{"income": 1, "' + b"x" * 999 + b'": {}}]}, "response": 1}'),
        ("inference", b'{"request": {"inputs": [{"name": "' + b"x" * 999 + b'", "shape": 1}]}, "response": 1}'),
    ],
)  # fmt: skip
def test_what_fuzzing_found_stays_mended(name: str, value: bytes) -> None:
    """Inputs that once raised, or filled the reason of their rejection."""
    found = decoded(name, messages_of([value]))
    assert all(len(rejection.reason) < 200 for rejection in found.rejections)


@pytest.mark.parametrize("name", ["arrow", "databricks"])
@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table([[1], [2]], names=["y_pred", "y_pred"]), "the Arrow stream has two columns of one name"),
        (pa.table({"x": [1, 2]}).select([]), "the Arrow stream has rows without columns"),
    ],
)
def test_arrow_tables_that_mean_nothing_are_refused(name: str, table: pa.Table, reason: str) -> None:
    """A name that stands twice, or rows without any column, reject the stream, not the worker."""
    found = decoded(name, messages_of([written(table)]))
    assert found.batch.rows == 0
    assert [rejection.reason for rejection in found.rejections] == [reason]


@pytest.mark.parametrize("name", NAMES)
def test_time_grows_with_the_bytes(name: str) -> None:
    """Four times the rubbish takes not many times four times as long."""

    def seconds(n: int) -> float:
        values = [b"[" * n, b'{"a":' * n, b"\0\0\0\0\7" + b"\xff" * n, b'{"inputs":[' + b"{}," * n]
        best = 1e9
        for _ in range(3):
            begin = time.process_time()
            decoded(name, messages_of(values))
            best = min(best, time.process_time() - begin)
        return best

    small, large = seconds(20_000), seconds(80_000)
    assert large < 16 * small + 0.05
