"""What each kind of bad event becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlhealth.events.json import Decoded, decode
from tests.property.test_json_events import messages
from tests.strategies import SCHEMA

GOOD: dict[str, Any] = {
    "income": 41.5,
    "region": "eu",
    "owner": 1,
    "y_pred": 1,
    "y_score": 0.83,
    "ts": "2026-01-01T00:00:00Z",
    "event_id": "a1",
}
ABSENT = object()


def decoded(**changes: object) -> Decoded:
    """One good event with some fields changed, beside two good ones."""
    event = {name: value for name, value in {**GOOD, **changes}.items() if value is not ABSENT}
    good = json.dumps(GOOD).encode()
    return decode(messages([good, json.dumps(event).encode(), good]), SCHEMA)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("y_pred", ABSENT, "y_pred: the prediction is missing"),
        ("y_pred", None, "y_pred: the prediction is missing"),
        ("y_pred", 7, "y_pred: the prediction is not one of the schema's classes"),
        ("y_pred", [1], "y_pred: a single value is needed"),
        ("y_score", ABSENT, "y_score: the score is missing or not finite"),
        ("y_score", float("nan"), "y_score: the score is missing or not finite"),
        ("y_score", 1.2, "y_score: the score is outside 0 to 1"),
        ("y_score", "high", "y_score: the score is not a number"),
        ("income", "a lot", "income: not a number"),
        ("income", True, "income: not a number"),
        ("income", {"eur": 3}, "income: a single value is needed"),
        ("region", ["eu", "us"], "region: a single value is needed"),
        ("ts", ABSENT, "ts: the event time is missing"),
        ("ts", "yesterday", "ts: the event time cannot be read"),
        ("ts", 1e40, "ts: the event time cannot be read"),
    ],
)
def test_a_bad_field_rejects_its_event_alone(field: str, value: object, reason: str) -> None:
    """The event is rejected with its address and a reason that holds no value of it; its neighbours stay."""
    found = decoded(**{field: value})
    assert found.message.tolist() == [0, 2]
    assert [(r.source, r.partition, r.offset, r.row, r.reason) for r in found.rejections] == [
        ("t", 0, 1, 0, reason)
    ]


@pytest.mark.parametrize("value", [None, ABSENT, float("nan"), float("inf")])
def test_odd_numbers_in_features_are_kept(value: object) -> None:
    """Missing and non-finite feature values are counted, not rejected."""
    assert decoded(income=value).batch.rows == 3


def test_numbers_as_text_are_numbers() -> None:
    """A producer that writes numbers as text is understood."""
    assert decoded(income="41.5", y_score="0.83").batch.array("income").tolist() == [41.5] * 3


def test_a_huge_message_does_not_stop_its_neighbours() -> None:
    """An event of ten megabytes is decoded like any other."""
    assert decoded(region="x" * 10_000_000).batch.rows == 3


def test_an_id_of_any_type_is_the_same_event() -> None:
    """The id 7 and the id "7" are one event."""
    keys = decode(messages([json.dumps({**GOOD, "event_id": i}).encode() for i in (7, "7", 7.0)]), SCHEMA)
    assert len(set(keys.batch.table.column("__key").to_pylist())) == 1


def test_no_messages_give_an_empty_batch() -> None:
    """Decoding nothing gives a batch without rows."""
    assert decode(messages([]), SCHEMA).batch.rows == 0


def test_pretty_printed_json_is_one_event() -> None:
    """An event spread over several lines is understood."""
    assert decode(messages([json.dumps(GOOD, indent=2).encode()]), SCHEMA).batch.rows == 1


@pytest.mark.parametrize("field", ["ts", "event_id", "region"])
@pytest.mark.parametrize("value", ["2026-01-01T00:00:00Z", 1_767_225_600])
def test_what_the_first_event_lacks_later_events_keep(field: str, value: object) -> None:
    """A first event without its time, id or segment costs no other event its own, whatever its type."""
    whole = {**GOOD, field: value}
    first = json.dumps({name: v for name, v in whole.items() if name != field}).encode()
    found = decode(messages([first, json.dumps(whole).encode()]), SCHEMA)
    alone = decode(messages([json.dumps(whole).encode()]), SCHEMA)
    kept = found.batch.table.slice(found.batch.rows - 1)
    assert kept.to_pylist() == alone.batch.table.to_pylist()
