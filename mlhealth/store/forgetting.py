"""Forgetting events by id: everything the store still holds of them but counts, and what is yet to come of them.

Counts, estimates and reports stay: they are sums over many events. Windows that still take rows keep an event in their
partial profiles until they close; its key, a hash, is remembered, and the event drops out when the window is judged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Column, Connection, Table

from mlhealth.events.batch import KEY
from mlhealth.events.keys import text_keys
from mlhealth.store import audit
from mlhealth.store.alert_tables import retraining_requests
from mlhealth.store.database import insert_missing
from mlhealth.store.half_tables import pending_halves
from mlhealth.store.inbox_tables import inbox
from mlhealth.store.label_tables import label_draws, labels
from mlhealth.store.labels import signed
from mlhealth.store.tables import key, metadata, window_profiles

_AT_ONCE = 500
_ROW_OF_REQUEST = re.compile(r"-\d+$")

forgotten = Table(
    "forgotten",
    metadata,
    key("model"),
    Column("event", BigInteger, primary_key=True, autoincrement=False),
    Column("created", BigInteger, nullable=False),
)
"""Hashed keys of events that were forgotten; windows closed from then on leave them out of their samples."""


@dataclass(frozen=True)
class Forgotten:
    """What went.

    `rows` of closed windows' samples, `labels`, rows `drawn` for labelling or named to a training, `halves` of
    requests, and bodies among the dead `letters`.
    """

    rows: int = 0
    labels: int = 0
    drawn: int = 0
    halves: int = 0
    letters: int = 0

    @property
    def text(self) -> str:
        """One sentence."""
        return (
            f"gone: {self.rows} rows of windows, {self.labels} labels, {self.drawn} rows drawn for labelling, "
            f"{self.halves} waiting requests or responses, {self.letters} dead letters; "
            "windows that are still open leave the events out when they close"
        )


def forget(connection: Connection, model: str, ids: Collection[str], by: tuple[str, int]) -> Forgotten:
    """Forget events of a model, of all its versions, in one transaction; `by` says who wants it, and when.

    The audit trail says that it was done, and how much went, not whose it was.
    """
    actor, now = by
    keys = np.unique(text_keys(pa.array(sorted(ids), type=pa.string())))
    events = [signed(int(event)) for event in keys]
    rows = [{"model": model, "event": event, "created": now} for event in events]
    insert_missing(connection, forgotten, rows)
    gone = [
        _delete(connection, labels, labels.c.model == model, labels.c.event.in_(p)) for p in _parts(events)
    ]
    found = Forgotten(
        _from_samples(connection, model, keys),
        sum(gone),
        _from_draws(connection, model, keys) + _from_requests(connection, model, keys, ids),
        _from_halves(connection, model, ids),
        _from_letters(connection, model, ids),
    )
    audit.append(
        connection, audit.Entry(now, actor, "events.forget", model, {"ids": len(keys), **asdict(found)})
    )
    return found


def forgotten_keys(connection: Connection, model: str) -> NDArray[np.uint64]:
    """Return the keys of a model's events that were forgotten, (n,)."""
    known = connection.execute(sa.select(forgotten.c.event).where(forgotten.c.model == model)).scalars()
    return np.fromiter(known, dtype=np.int64).view(np.uint64)


def without(table: pa.Table, keys: NDArray[np.uint64]) -> pa.Table:
    """Return a sample without the rows of these keys."""
    if len(keys) == 0:
        return table
    stays = ~np.isin(np.asarray(table.column(KEY).to_numpy(), dtype=np.uint64), keys)
    return table if stays.all() else table.filter(pa.array(stays))


def _from_samples(connection: Connection, model: str, keys: NDArray[np.uint64]) -> int:
    t = window_profiles
    places = [column for column in t.primary_key if column.name != "model"]
    query = sa.select(*places).where(t.c.model == model, t.c.sample.is_not(None))
    went = 0
    for place in connection.execute(query).all():
        where = (t.c.model == model, *(c == value for c, value in zip(places, place, strict=True)))
        blob = connection.execute(sa.select(t.c.sample).where(*where)).scalar_one()
        table = pa.ipc.open_stream(blob).read_all()
        left = without(table, keys)
        if left.num_rows < table.num_rows:
            went += table.num_rows - left.num_rows
            connection.execute(sa.update(t).where(*where).values(sample=_written(left)))
    return went


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _from_draws(connection: Connection, model: str, keys: NDArray[np.uint64]) -> int:
    t, went = label_draws, 0
    for row in connection.execute(sa.select(t).where(t.c.model == model)).all():
        drawn = np.frombuffer(row.events, dtype="<u8")
        stays = ~np.isin(drawn, keys)
        if stays.all():
            continue
        went += int((~stays).sum())
        changed = {
            "events": drawn[stays].tobytes(),
            "probabilities": np.frombuffer(row.probabilities, dtype="<f8")[stays].tobytes(),
            "chosen": np.frombuffer(row.chosen, dtype=np.uint8)[stays].tobytes(),
        }
        where = [column == getattr(row, column.name) for column in t.primary_key]
        connection.execute(sa.update(t).where(*where).values(**changed))
    return went


def _from_requests(connection: Connection, model: str, keys: NDArray[np.uint64], ids: Collection[str]) -> int:
    """Take the rows out that retraining requests name as best labelled first."""
    t, went, known = retraining_requests, 0, {int(event) for event in keys}
    for identity, evidence in connection.execute(
        sa.select(t.c.id, t.c.evidence).where(t.c.model == model)
    ).all():
        sample = evidence.get("sample") if isinstance(evidence, Mapping) else None
        if not isinstance(sample, Mapping) or not sample.get("rows"):
            continue
        rows: list[Mapping[str, Any]] = list(sample["rows"])
        left = [row for row in rows if row.get("key") not in known and row.get("id") not in ids]
        if len(left) < len(rows):
            went += len(rows) - len(left)
            changed = {**evidence, "sample": {**sample, "rows": left}}
            connection.execute(sa.update(t).where(t.c.id == identity).values(evidence=changed))
    return went


def _from_halves(connection: Connection, model: str, ids: Collection[str]) -> int:
    """Drop requests and responses that wait for each other; rows of one request are called `id-0`, `id-1`."""
    wanted = sorted({*ids, *(_ROW_OF_REQUEST.sub("", identity) for identity in ids)})
    t = pending_halves
    return sum(_delete(connection, t, t.c.model == model, t.c.id.in_(part)) for part in _parts(wanted))


def _from_letters(connection: Connection, model: str, ids: Collection[str]) -> int:
    """Drop bodies among the inbox's dead letters that hold one of the ids anywhere."""
    t, went, wanted = inbox, 0, [identity.encode() for identity in ids]
    query = sa.select(t.c.partition, t.c.offset, t.c.body).where(t.c.model == model, t.c.reason.is_not(None))
    for row in connection.execute(query).all():
        if any(identity in row.body for identity in wanted):
            went += _delete(connection, t, t.c.partition == row.partition, t.c.offset == row.offset)
    return went


def _delete(connection: Connection, table: Table, *where: sa.ColumnElement[bool]) -> int:
    return connection.execute(sa.delete(table).where(*where)).rowcount


def _parts(found: list[Any]) -> Iterator[list[Any]]:
    for at in range(0, len(found), _AT_ONCE):
        yield found[at : at + _AT_ONCE]
