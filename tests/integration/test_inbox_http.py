"""Events over HTTP: what the door answers, and that what it took is what the worker reads."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import orjson
import pyarrow as pa
import pytest
import sqlalchemy as sa

from mlhealth.api.app import create_app
from mlhealth.api.door import Door
from mlhealth.api.services import Services
from mlhealth.clock import DAY, SECOND, ManualClock, to_iso
from mlhealth.queries.reports import Queries
from mlhealth.sources.inbox import TOPIC, InboxSource, ReaderIdentity
from mlhealth.store.database import Database
from mlhealth.store.inbox import Inbox, InboxLimits
from mlhealth.store.tables import counters, partitions, rejections, reports
from mlhealth.store.tokens import Scope, TokenRequest, Tokens
from tests.servers.stream import START, Bench, loan_baseline, loan_events, loan_rows, run
from tests.web_server import served

NDJSON = {"Content-Type": "application/x-ndjson"}
EVENTS = "/v1/models/loans/versions/1/events"
MOST = 200_000


@dataclass
class Edge:
    """A service's HTTP edge over a store, and the worker beside it."""

    bench: Bench
    inbox: Inbox
    client: httpx.Client
    tokens: Tokens

    def read(self, turns: int = 3) -> None:
        """Let a new worker read what is there."""
        source = InboxSource(self.inbox, ReaderIdentity(uuid4().hex, self.bench.clock))
        worker = self.bench.worker(source, uuid4().hex)
        run(worker, source, self.bench.clock, turns)
        worker.finish()

    def outcomes(self) -> dict[str, int]:
        """Return the worker's counts."""
        query = sa.select(counters.c.outcome, sa.func.sum(counters.c.events)).group_by(counters.c.outcome)
        with self.bench.database.read() as connection:
            return {row[0]: int(row[1]) for row in connection.execute(query) if row[1]}


@pytest.fixture(params=["sqlite", "postgresql"])
def edge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Edge]:
    """The edge over each kind of store, with room for a thousand rows."""
    sqlite = f"sqlite:///{tmp_path / 'store.db'}"
    database = Database.open(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres"))
    bench = Bench(database, loan_baseline(), clock=ManualClock(START + DAY))
    bench.prepare()
    inbox = Inbox(database, InboxLimits(rows=1_000))
    tokens = Tokens(database)
    door = Door(inbox, bench.clock, MOST)
    app = create_app(Services(Queries(database), tokens, clock=bench.clock, door=door))
    with served(app) as address, httpx.Client(base_url=address) as client:
        yield Edge(bench, inbox, client, tokens)
    database.close()


def test_what_is_taken_is_what_is_counted(edge: Edge) -> None:
    """NDJSON, a JSON array, one object, gzip and an Arrow stream are taken, and every row becomes a counted event."""
    events = loan_events(40)
    table = loan_rows(5).drop_columns(["y_true"]).append_column("ts", pa.array([to_iso(START)] * 5))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    sent = [
        (b"\n".join(events[:20]), NDJSON),
        (b"[" + b",".join(events[20:30]) + b"]", {"Content-Type": "application/json"}),
        (events[30], {"Content-Type": "application/json; charset=utf-8"}),
        (gzip.compress(b"\n".join(events[31:])), NDJSON | {"Content-Encoding": "gzip"}),
        (sink.getvalue(), {"Content-Type": "application/vnd.apache.arrow.stream"}),
    ]
    answers = [edge.client.post(EVENTS, content=body, headers=headers) for body, headers in sent]
    assert [answer.status_code for answer in answers] == [202] * 5
    assert [answer.json()["accepted"] for answer in answers] == [20, 10, 1, 9, 5]
    edge.read()
    assert edge.outcomes() == {"accepted": 45}


def test_windows_close_on_what_came_over_http(edge: Edge) -> None:
    """A promise of completeness closes the windows before it, with the rows that were sent."""
    events = loan_events(900)
    for at in range(0, 900, 300):
        edge.client.post(EVENTS, content=b"\n".join(events[at : at + 300]), headers=NDJSON)
    end = to_iso(START + DAY)
    assert edge.client.post(EVENTS, headers={"Mlhealth-Watermark": end}).status_code == 202
    edge.read(5)
    query = sa.select(reports.c.rows).where(reports.c.segment == "", reports.c.latest, reports.c.rows > 0)
    with edge.bench.database.read() as connection:
        assert sum(connection.execute(query).scalars()) == 900


def test_rows_that_cannot_be_used_are_named_and_stop_no_other(edge: Edge) -> None:
    """Each bad row has its number and reason in the answer, and the worker finds the same ones."""
    good = loan_events(3)
    wrong = orjson.dumps({**orjson.loads(good[0]), "y_score": 7.5})
    body = b"\n".join([good[0], b"{not json", good[1], wrong, b"[1]", good[2]])
    answer = edge.client.post(EVENTS, content=body, headers=NDJSON)
    told = answer.json()
    assert (answer.status_code, told["accepted"], told["rejected"]) == (202, 3, 3)
    assert [r["row"] for r in sorted(told["reasons"], key=lambda r: r["row"])] == [1, 3, 4]
    edge.read()
    assert edge.outcomes() == {"accepted": 3, "rejected": 3}
    with edge.bench.database.read() as connection:
        found = connection.execute(sa.select(rejections.c.topic, rejections.c.row, rejections.c.reason))
        assert {(t, row, reason) for t, row, reason in found} == {
            (TOPIC, r["row"], r["reason"]) for r in told["reasons"]
        }


def test_a_repeated_request_is_written_once(edge: Edge) -> None:
    """The same key gives the same answer and adds nothing; with another body it is refused."""
    body, other = b"\n".join(loan_events(5)), loan_events(1, first=9)[0]
    headers = NDJSON | {"Idempotency-Key": "batch-1"}
    first = edge.client.post(EVENTS, content=body, headers=headers)
    again = edge.client.post(EVENTS, content=body, headers=headers)
    assert (again.status_code, again.json()) == (202, first.json())
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert edge.client.post(EVENTS, content=other, headers=headers).status_code == 409
    edge.read()
    assert edge.outcomes() == {"accepted": 5}


def test_a_full_inbox_asks_to_come_again(edge: Edge) -> None:
    """What would be more than may wait is refused with 429 and a time, and is taken once the worker has read."""
    body = b"\n".join(loan_events(800))
    headers = NDJSON | {"Idempotency-Key": "second"}
    assert edge.client.post(EVENTS, content=body, headers=NDJSON).status_code == 202
    refused = edge.client.post(EVENTS, content=body, headers=headers)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    edge.read()
    assert edge.client.post(EVENTS, content=body, headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * (MOST + 1), NDJSON, 413),
        (gzip.compress(b" " * (MOST + 1)), NDJSON | {"Content-Encoding": "gzip"}, 413),
        (b"a,b\n1,2", {"Content-Type": "text/csv"}, 415),
        (b"{}", NDJSON | {"Content-Encoding": "br"}, 415),
        (b"not gzip", NDJSON | {"Content-Encoding": "gzip"}, 400),
        (b"{broken", {"Content-Type": "application/json"}, 400),
        (b"not arrow", {"Content-Type": "application/vnd.apache.arrow.stream"}, 400),
        (b"", NDJSON, 400),
        (b"{}", NDJSON | {"Mlhealth-Watermark": "noon"}, 400),
    ],
)
def test_what_cannot_be_read_is_refused_whole(
    edge: Edge, body: bytes, headers: dict[str, str], status: int
) -> None:
    """A body too long, of another kind, or broken as a whole is refused in one line, and nothing is written."""
    answer = edge.client.post(EVENTS, content=body, headers=headers)
    assert answer.status_code == status
    assert "\n" not in answer.json()["detail"]
    assert edge.inbox.bounds([0]).get(0, (0, 0)) == (0, 0)


def test_events_of_an_unknown_model_wait_to_be_sent_again(edge: Edge) -> None:
    """Where no baseline speaks yet, the answer says so, and the messages are kept aside for a requeue."""
    events = loan_events(4)
    answer = edge.client.post(
        EVENTS.replace("loans", "new"), content=b"\n".join([*events, b"[]"]), headers=NDJSON
    )
    told = answer.json()
    assert (told["accepted"], told["rejected"]) == (4, 1)
    assert "no baseline speaks for model new version 1" in told["note"]
    edge.read()
    assert edge.inbox.requeue([(0, 0)], edge.bench.clock.now()) == [(0, 0)]
    assert edge.inbox.bounds([0]) == {0: (1, 2)}


def test_sending_needs_the_ingest_scope(edge: Edge) -> None:
    """Once there are tokens, only one with the scope may send."""
    now = edge.bench.clock.now()
    texts = {
        scope: edge.tokens.create(TokenRequest(scope, frozenset({scope}), DAY), now)[1]
        for scope in (Scope.READ, Scope.INGEST, Scope.OPERATE)
    }
    statuses = {
        scope: edge.client.post(
            EVENTS, content=loan_events(1)[0], headers=NDJSON | {"Authorization": f"Bearer {text}"}
        ).status_code
        for scope, text in texts.items()
    }
    assert statuses == {Scope.READ: 403, Scope.INGEST: 202, Scope.OPERATE: 403}
    assert edge.client.post(EVENTS, content=loan_events(1)[0], headers=NDJSON).status_code == 401


def test_what_was_read_is_let_go(edge: Edge) -> None:
    """After its checkpoint a message is no longer in the inbox, and the store's offset is that of its end."""
    edge.client.post(EVENTS, content=b"\n".join(loan_events(10)), headers=NDJSON)
    edge.read()
    assert edge.inbox.read(0, 0, 1) == []
    with edge.bench.database.read() as connection:
        offsets = connection.execute(sa.select(partitions.c.topic, partitions.c.next_offset)).all()
    assert [tuple(row) for row in offsets] == [(TOPIC, 1)]


def test_two_workers_share_the_partitions_and_take_over(edge: Edge) -> None:
    """Each of two readers gets a part; when one goes, or shows no sign of life, the other gets all."""
    if edge.bench.database.is_sqlite:
        pytest.skip("a SQLite store serves one worker")
    inbox = Inbox(edge.bench.database, InboxLimits(partitions=4))
    workers = []
    for name in ("one", "two"):
        source = InboxSource(inbox, ReaderIdentity(name, edge.bench.clock))
        workers.append((edge.bench.worker(source, name), source))
    for worker, source in workers:
        source.start(worker)
    for _ in range(3):
        edge.bench.clock.advance(6 * SECOND)
        for worker, _source in workers:
            worker.turn()
    assert [len(source.positions()) for _, source in workers] == [2, 2]
    for _ in range(4):
        edge.bench.clock.advance(6 * SECOND)
        workers[1][0].turn()
    assert len(workers[1][1].positions()) == 4
