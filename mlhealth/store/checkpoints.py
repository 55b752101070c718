"""Checkpoints: partial profiles, offsets, watermarks, counts and rejections, all in one transaction or not at all.

A partition's offset moves only from the value its reader believes it has (compare-and-set). A reader whose update
matches no row has lost the partition to someone else: nothing of its checkpoint is written, and it must start again
from what the store holds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from mlhealth.events.messages import Partition
from mlhealth.events.pairing import Changes, Waiting
from mlhealth.records import Rejection
from mlhealth.store import event_ids, halves
from mlhealth.store.database import Database, insert_missing, upsert
from mlhealth.store.labels import Label
from mlhealth.store.labels import write as write_labels
from mlhealth.store.tables import counters, model_versions, partials, partitions, rejections, watermarks


@dataclass(frozen=True, order=True)
class PartialKey:
    """Which part of which window a partial profile is."""

    model: str
    version: str
    segment: str
    start: int
    partition: Partition
    baseline: str


@dataclass(frozen=True)
class StoredPartial:
    """A partial profile as stored; `first_offset` is where rebuilding it would start."""

    key: PartialKey
    end: int
    rows: int
    first_offset: int
    profile: bytes


@dataclass(frozen=True)
class Advance:
    """A partition's offset, from what the store is believed to hold (None: nothing yet) to what it shall hold."""

    partition: Partition
    previous: int | None
    next: int


@dataclass(frozen=True)
class Seen:
    """The latest event time of a model version in a partition, and when (wall time) it was read."""

    model: str
    version: str
    partition: Partition
    event_time: int
    seen: int


@dataclass(frozen=True)
class Count:
    """How many more events of a partition met this outcome."""

    partition: Partition
    model: str
    version: str
    outcome: str
    events: int


@dataclass(frozen=True)
class RejectedEvent:
    """A rejection, and whose event it would have been ("" where that is not known)."""

    rejection: Rejection
    model: str = ""
    version: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that one worker read since its last checkpoint.

    `rebuilt`: partials among them that were built again from messages that were counted before; those are no late rows,
    even where their pane takes no more.
    """

    owner: str
    now: int
    advances: Sequence[Advance]
    partials: Sequence[StoredPartial] = ()
    seen: Sequence[Seen] = ()
    counts: Sequence[Count] = ()
    rejected: Sequence[RejectedEvent] = ()
    labels: Sequence[Label] = ()
    halves: Changes = field(default_factory=Changes)
    ids: Sequence[event_ids.NewIds] = ()
    rebuilt: Collection[PartialKey] = ()


@dataclass(frozen=True)
class Saved:
    """What became of a checkpoint.

    `lost`: partitions that belong to someone else; then nothing was written. `refused`: partials of windows that take
    no more rows; all but they were written.
    """

    lost: tuple[Partition, ...] = ()
    refused: tuple[PartialKey, ...] = ()


class _Lost(Exception):
    pass


def save(
    database: Database,
    checkpoint: Checkpoint,
    *,
    late: Callable[[Collection[PartialKey]], Iterable[Count]] = lambda _: (),
    before_commit: Callable[[], None] = lambda: None,
) -> Saved:
    """Write a checkpoint. `late` turns refused partials into counts, written in the same transaction."""
    lost: list[Partition] = []
    refused: tuple[PartialKey, ...] = ()
    try:
        with database.begin() as connection:
            lost = [a.partition for a in checkpoint.advances if not _advanced(connection, a, checkpoint)]
            if lost:
                raise _Lost
            refused = _write(connection, checkpoint)
            _add_counts(connection, [*checkpoint.counts, *late(refused)])
            before_commit()
    except _Lost:
        return Saved(lost=tuple(lost))
    return Saved(refused=refused)


def _advanced(connection: Connection, advance: Advance, checkpoint: Checkpoint) -> bool:
    t = partitions.c
    where = (t.topic == advance.partition.topic) & (t.partition == advance.partition.number)
    values = {"next_offset": advance.next, "progressed": checkpoint.now, "owner": checkpoint.owner}
    if advance.previous is None:
        row = {"topic": advance.partition.topic, "partition": advance.partition.number, **values}
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(partitions).values(row))
        except IntegrityError:
            return False
        return True
    if advance.next == advance.previous:
        values.pop("progressed")
    found = connection.execute(
        sa.update(partitions).where(where, t.next_offset == advance.previous).values(values)
    )
    return found.rowcount == 1


def _write(connection: Connection, checkpoint: Checkpoint) -> tuple[PartialKey, ...]:
    _register(connection, checkpoint)
    finals = _finals(connection, {(p.key.model, p.key.version) for p in checkpoint.partials})
    refused = {
        p.key for p in checkpoint.partials if p.end <= finals.get((p.key.model, p.key.version), p.end - 1)
    } - set(checkpoint.rebuilt)
    upsert(connection, partials, [_partial_row(p) for p in checkpoint.partials if p.key not in refused])
    upsert(connection, watermarks, [_seen_row(s) for s in checkpoint.seen])
    insert_missing(connection, rejections, [_rejection_row(r, checkpoint.now) for r in checkpoint.rejected])
    write_labels(connection, checkpoint.labels, checkpoint.now)
    halves.write(connection, checkpoint.halves)
    event_ids.write(connection, [new for new in checkpoint.ids if not _is_final(new.place, finals)])
    return tuple(sorted(refused))


def _is_final(place: event_ids.IdPlace, finals: Mapping[tuple[str, str], int]) -> bool:
    """Whether a pane takes no more rows: panes and ends are aligned, so its start tells."""
    return place.start < finals.get((place.model, place.version), place.start)


def _register(connection: Connection, checkpoint: Checkpoint) -> None:
    """Let model versions that send events be live."""
    names = sorted({(s.model, s.version) for s in checkpoint.seen})
    rows = [{"model": m, "version": v, "state": "live", "created": checkpoint.now} for m, v in names]
    insert_missing(connection, model_versions, rows)
    t = model_versions.c
    for model, version in names:
        expected = (t.model == model) & (t.version == version) & (t.state == "expected")
        connection.execute(sa.update(model_versions).where(expected).values(state="live"))


def _finals(connection: Connection, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return up to where each model version's windows take no more rows, held still until the transaction ends."""
    t = model_versions.c
    query = sa.select(t.model, t.version, t.final_end).where(sa.tuple_(t.model, t.version).in_(sorted(names)))
    if not names:
        return {}
    rows = connection.execute(query.with_for_update(read=True)).all()
    return {(r.model, r.version): r.final_end for r in rows if r.final_end is not None}


def _add_counts(connection: Connection, counts: Iterable[Count]) -> None:
    totals: dict[tuple[str, int, str, str, str], int] = {}
    for count in counts:
        place = (count.partition.topic, count.partition.number, count.model, count.version, count.outcome)
        totals[place] = totals.get(place, 0) + count.events
    names = ("topic", "partition", "model", "version", "outcome")
    rows = [{**dict(zip(names, place, strict=True)), "events": n} for place, n in sorted(totals.items())]
    upsert(connection, counters, rows, add="events")


def _partial_row(partial: StoredPartial) -> dict[str, object]:
    key = partial.key
    return {
        "model": key.model,
        "version": key.version,
        "segment": key.segment,
        "start": key.start,
        "topic": key.partition.topic,
        "partition": key.partition.number,
        "baseline": key.baseline,
        "end": partial.end,
        "rows": partial.rows,
        "first_offset": partial.first_offset,
        "profile": partial.profile,
    }


def _seen_row(seen: Seen) -> dict[str, object]:
    return {
        "model": seen.model,
        "version": seen.version,
        "topic": seen.partition.topic,
        "partition": seen.partition.number,
        "event_time": seen.event_time,
        "seen": seen.seen,
    }


def _rejection_row(rejected: RejectedEvent, now: int) -> dict[str, object]:
    r = rejected.rejection
    return {
        "topic": r.source,
        "partition": r.partition,
        "offset": r.offset,
        "row": r.row,
        "reason": r.reason,
        "model": rejected.model,
        "version": rejected.version,
        "created": now,
    }


@dataclass(frozen=True)
class Restored:
    """What a reader that gets partitions starts from; a partition that is not in `offsets` was never read."""

    offsets: dict[Partition, int]
    partials: list[StoredPartial]
    seen: list[Seen]
    halves: list[Waiting] = field(default_factory=list)
    ids: list[event_ids.NewIds] = field(default_factory=list)


def restore(database: Database, wanted: Collection[Partition]) -> Restored:
    """Return what the store holds of these partitions."""
    with database.read() as connection:
        offsets = {p: r.next_offset for p, r in _rows(connection, partitions, wanted)}
        parts = [_stored(p, r) for p, r in _rows(connection, partials, wanted)]
        seen = [
            Seen(r.model, r.version, p, r.event_time, r.seen)
            for p, r in _rows(connection, watermarks, wanted)
        ]
        waiting = halves.read(connection, wanted)
        ids = event_ids.read(connection, wanted)
    return Restored(offsets, parts, seen, waiting, ids)


def open_lengths(connection: Connection) -> list[tuple[str, str, int]]:
    """Return each model version in use that has open partial profiles, with the lengths of their panes (µs)."""
    t, versions = partials.c, model_versions.c
    length = (t.end - t.start).label("length")
    is_it = (versions.model == t.model) & (versions.version == t.version)
    query = sa.select(t.model, t.version, length).join(model_versions, is_it)
    query = query.where(versions.state != "retired").distinct().order_by(t.model, t.version, length)
    return [(r.model, r.version, r.length) for r in connection.execute(query)]


def _stored(partition: Partition, r: sa.Row[Any]) -> StoredPartial:
    key = PartialKey(r.model, r.version, r.segment, r.start, partition, r.baseline)
    return StoredPartial(key, r.end, r.rows, r.first_offset, r.profile)


def _rows(
    connection: Connection, table: sa.Table, wanted: Collection[Partition]
) -> list[tuple[Partition, sa.Row[Any]]]:
    pairs = sorted((p.topic, p.number) for p in wanted)
    query = sa.select(table).where(sa.tuple_(table.c.topic, table.c.partition).in_(pairs))
    return [(Partition(r.topic, r.partition), r) for r in connection.execute(query)]
