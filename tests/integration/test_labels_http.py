"""Labels over HTTP: what the door answers, what becomes of them, and the record that the API shows."""

from __future__ import annotations

import io

import orjson
import pyarrow as pa
import pytest

from mlhealth.store.tokens import Scope, TokenRequest
from tests.integration.test_inbox_http import EVENTS, MOST, NDJSON, Edge, edge
from tests.integration.test_late_labels import accuracy, truth
from tests.servers.stream import START, loan_events

__all__ = ["edge"]
PATH = "/v1/models/loans/versions/1/labels"
ROWS = 400


def in_parts(edge: Edge, path: str, lines: list[bytes]) -> None:
    """Send lines so that each part fits the small inbox, letting the worker read between."""
    for at in range(0, len(lines), ROWS):
        answer = edge.client.post(path, content=b"\n".join(lines[at : at + ROWS]), headers=NDJSON)
        assert answer.status_code == 202
        edge.read(1)
    edge.read()


def test_labels_sent_late_are_seen_in_the_api(edge: Edge) -> None:
    """Events, then labels of all of them: realised metrics, error and coverage are in the API."""
    true = truth(700)
    in_parts(edge, EVENTS, loan_events(700))
    labels = [orjson.dumps({"event_id": f"e{i}", "label": value}) for i, value in enumerate(true)]
    in_parts(edge, PATH, labels)
    report = edge.client.get(f"/v1/models/loans/versions/1/reports/{START}").json()
    assert report["realized"]["accuracy"] == pytest.approx(accuracy(700, true, 0, 300))
    assert report["labels"]["design"] == "whole"
    record = edge.client.get(PATH).json()
    (found,) = [m for m in record["metrics"] if m["metric"] == "accuracy"]
    assert found["windows"] == 2
    assert found["error"] < 0.1
    assert next(w["start"] for w in record["windows"] if w["metric"] == "accuracy") == START


def test_labels_come_as_json_array_and_arrow_too(edge: Edge) -> None:
    """An array, a single object and an Arrow stream are taken; every label is counted once."""
    sink = io.BytesIO()
    table = pa.table({"event_id": ["e8", "e9"], "y_true": [1.0, 0.0]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    arrow = {"Content-Type": "application/vnd.apache.arrow.stream"}
    bodies = [
        (b'[{"id": "e1", "label": 1}, {"id": "e2", "label": "0"}]', {"Content-Type": "application/json"}, 2),
        (b'{"event_id": "e3", "y_true": true}', {"Content-Type": "application/json"}, 1),
        (sink.getvalue(), arrow, 2),
    ]
    for content, headers, rows in bodies:
        answer = edge.client.post(PATH, content=content, headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (202, rows)
    edge.read()
    assert edge.outcomes() == {"label": 5}


def test_labels_that_cannot_be_used_are_named(edge: Edge) -> None:
    """Each bad row is named with its reason; the good ones are taken."""
    lines = [
        b'{"event_id": "e1", "label": 1}',
        b'{"label": 1}',
        b'{"event_id": "e2", "label": 7}',
        b"nonsense",
    ]
    answer = edge.client.post(PATH, content=b"\n".join(lines), headers=NDJSON).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 3)
    assert [(r["row"], r["reason"].split(" ")[0]) for r in answer["reasons"]] == [
        (1, "the"), (2, "the"), (3, "not"),
    ]  # fmt: skip
    edge.read()
    assert edge.outcomes() == {"label": 1, "rejected": 3}


def test_a_repeated_request_is_answered_as_the_first_time(edge: Edge) -> None:
    """With an idempotency key the second request is written nowhere and says so."""
    body, headers = b'{"event_id": "e1", "label": 1}', {**NDJSON, "Idempotency-Key": "k"}
    first = edge.client.post(PATH, content=body, headers=headers)
    second = edge.client.post(PATH, content=body, headers=headers)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    edge.read()
    assert edge.outcomes() == {"label": 1}


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        (PATH, b"x" * (MOST + 1), NDJSON, 413),
        (PATH, b"{}", {"Content-Type": "text/csv"}, 415),
        (PATH, b"", NDJSON, 400),
        (PATH, b"nonsense", NDJSON, 400),
        (PATH.replace("loans", "unknown"), b'{"event_id": "e1", "label": 1}', NDJSON, 404),
    ],
)
def test_what_cannot_be_read_is_refused(
    edge: Edge, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    """Too large, of another type, empty, unreadable, or of an unknown model: refused, and the answer says why."""
    answer = edge.client.post(path, content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_a_full_inbox_asks_to_come_again(edge: Edge) -> None:
    """What does not fit is refused with 429 and Retry-After."""
    lines = [orjson.dumps({"event_id": f"e{i}", "label": 1}) for i in range(900)]
    assert edge.client.post(PATH, content=b"\n".join(lines), headers=NDJSON).status_code == 202
    again = edge.client.post(PATH, content=b"\n".join(lines), headers=NDJSON)
    assert again.status_code == 429
    assert int(again.headers["Retry-After"]) > 0


def test_sending_labels_needs_the_ingest_scope(edge: Edge) -> None:
    """A reader's token is refused, a sender's is not."""
    for name, scope, status in (("reader", Scope.READ, 403), ("sender", Scope.INGEST, 202)):
        made = edge.tokens.create(TokenRequest(name, frozenset({scope}), None), edge.bench.clock.now())[1]
        headers = {**NDJSON, "Authorization": f"Bearer {made}"}
        answer = edge.client.post(PATH, content=b'{"event_id": "e1", "label": 1}', headers=headers)
        assert answer.status_code == status
