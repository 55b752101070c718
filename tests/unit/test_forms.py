"""Bodies of every shape come to the same events whether they are read together or each by itself."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from mlhealth.config.payload import PayloadConfig
from mlhealth.events.formats.base import Reading, format_of
from mlhealth.events.json import Decoded
from tests.fuzzing import messages_of
from tests.strategies import SCHEMA

PAYLOAD = PayloadConfig(features=("income", "region", "owner"))
ROW = [2.5, "eu", 1]


def tensor(name: str, kind: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    """Return a tensor in V2's JSON."""
    return {"name": name, "datatype": kind, "shape": shape, "data": data}


NAMED = {"income": 2.5, "region": "eu", "owner": 1}
REQUESTS: dict[str, Any] = {
    "tensors": {"inputs": [
        tensor("income", "FP64", [1], [2.5]), tensor("region", "BYTES", [1], ["eu"]),
        tensor("owner", "INT64", [1, 1], [[1]]),
    ]},
    "one wide tensor": {"inputs": [tensor("x", "FP64", [1, 3], ROW)]},
    "one nested tensor": {"inputs": [tensor("x", "FP64", [1, 3], [ROW])]},
    "columns": {"inputs": {"income": [2.5], "region": ["eu"], "owner": [1]}},
    "instances": {"instances": [NAMED]},
    "rows": {"instances": [ROW]},
    "a list": [ROW],
    "a list of objects": [NAMED],
    "split": {"dataframe_split": {"columns": list(NAMED), "data": [ROW]}},
    "split in another order": {"dataframe_split": {"columns": ["owner", "income", "region"], "data": [[1, 2.5, "eu"]]}},
    "records": {"dataframe_records": [NAMED]},
    "csv": "2.5,eu,1\n",
    "csv with quotes": '2.5,"eu",1',
    "an object": NAMED,
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "objects": {"predictions": [{"y_pred": 1, "y_score": 0.75}]},
    "columns": {"predictions": {"y_pred": [1], "y_score": [0.75]}},
    "an object": {"y_pred": 1, "y_score": 0.75},
    "scores": {"predictions": [0.75]},
    "both probabilities": {"predictions": [[0.25, 0.75]]},
    "tensors": {"outputs": [tensor("y_pred", "INT64", [1], [1]), tensor("p", "FP64", [1, 2], [0.25, 0.75])]},
    "scores alone": {"outputs": [tensor("p", "FP32", [1, 1], [0.75])]},
    "csv": "0.75\n",
}  # fmt: skip


def decoded(values: list[bytes]) -> Decoded:
    """Return inference messages as events."""
    return format_of("inference").decode(messages_of(values), Reading(SCHEMA, PAYLOAD))


def message(request: object, answer: object, number: int = 0) -> bytes:
    """Return one inference as a message."""
    found = {"id": f"e{number}", "time": "2026-01-01T00:00:00Z", "request": request, "response": answer}
    return json.dumps(found).encode()


def told(found: Decoded) -> list[dict[str, Any]]:
    """Return events without their keys."""
    return [{k: v for k, v in row.items() if k != "__key"} for row in found.batch.table.to_pylist()]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("request_", REQUESTS)
def test_every_shape_is_the_same_event(request_: str, answer: str) -> None:
    """A request and an answer of each shape give one event, the same for all."""
    found = decoded([message(REQUESTS[request_], ANSWERS[answer])])
    assert found.rejections == ()
    expected = {
        "__id": "e0",
        "__prediction": 1,
        "__score:1": 0.75,
        "income": 2.5,
        "region": "eu",
        "owner": "1",
    }
    assert expected.items() <= told(found)[0].items()


def test_all_shapes_in_one_batch_keep_their_order() -> None:
    """Messages of all shapes by turns give the same events as each alone, in the order of their messages."""
    pairs = [(request, answer) for answer in ANSWERS.values() for request in REQUESTS.values()] * 6
    values = [message(request, answer, i) for i, (request, answer) in enumerate(pairs)]
    found = decoded(values)
    assert found.message.tolist() == list(range(len(values)))
    assert found.rejections == ()
    assert [row["__id"] for row in told(found)] == [f"e{i}" for i in range(len(values))]
    assert told(found) == [event for value in values for event in told(decoded([value]))]


def test_many_rows_of_one_request_are_named_after_it() -> None:
    """Rows of a request keep its id and their number, beside requests of one row and of other shapes."""
    rows = [[float(i), "eu", i % 2] for i in range(3)]
    both = {"predictions": [{"y_pred": 1, "y_score": 0.75}] * 3}
    shapes = [
        {"instances": rows},
        {"dataframe_split": {"columns": list(NAMED), "data": rows}},
        {"dataframe_records": [dict(zip(NAMED, row, strict=True)) for row in rows]},
        {"inputs": [tensor("x", "FP64", [3, 3], [value for row in rows for value in row])]},
    ]
    values = [message(shape, both, i) for i, shape in enumerate(shapes)]
    values.insert(2, message({"instances": [ROW]}, ANSWERS["objects"], 9))
    found = told(decoded(values))
    assert [row["__id"] for row in found] == [
        *(f"e{i}-{n}" for i in (0, 1) for n in range(3)), "e9", *(f"e{i}-{n}" for i in (2, 3) for n in range(3)),
    ]  # fmt: skip
    assert [row["income"] for row in found] == [*[0.0, 1.0, 2.0] * 2, 2.5, *[0.0, 1.0, 2.0] * 2]


def test_one_bad_value_costs_its_event_alone() -> None:
    """Among 600 bodies of one form, a nested value and a text for a number reject two events and touch no other."""
    bodies: list[Any] = [{"instances": [{**NAMED, "income": float(i)}]} for i in range(600)]
    bodies[100] = {"instances": [{**NAMED, "income": [1.0]}]}
    bodies[300] = {"instances": [{**NAMED, "income": "much"}]}
    found = decoded([message(body, ANSWERS["objects"], i) for i, body in enumerate(bodies)])
    assert sorted((r.offset, r.reason) for r in found.rejections) == [
        (100, "income: a single value is needed"),
        (300, "income: not a number"),
    ]
    kept = [i for i in range(600) if i not in {100, 300}]
    assert found.message.tolist() == kept
    assert [row["income"] for row in told(found)] == [float(i) for i in kept]
    assert orjson.dumps([row["__id"] for row in told(found)]) == orjson.dumps([f"e{i}" for i in kept])
