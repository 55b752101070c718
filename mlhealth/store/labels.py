"""Labels by event: written once however often they come, looked up by event key, forgotten after a horizon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from mlhealth.store.database import insert_missing, upsert
from mlhealth.store.label_tables import label_draws, label_heads, label_progress, labels

_AT_ONCE = 500
ModelVersion = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class Label:
    """The true class (canonical text) or value (as text) of one event, by the hash of its key.

    `version` "" is any version of the model. `at`: when it was so (microseconds); of two labels the later one stands.
    """

    model: str
    version: str
    event: int
    value: str
    at: int


def write(connection: Connection, found: Iterable[Label], now: int) -> int:
    """Add labels; return how many events got a label or another one. Those that are known change nothing."""
    by_model: dict[str, dict[tuple[str, int], Label]] = {}
    for label in found:
        newest = by_model.setdefault(label.model, {})
        place = (label.version, label.event)
        if place not in newest or label.at >= newest[place].at:
            newest[place] = label
    return sum(_write_model(connection, m, list(new.values()), now) for m, new in sorted(by_model.items()))


def _write_model(connection: Connection, model: str, found: Sequence[Label], now: int) -> int:
    insert_missing(connection, label_heads, [{"model": model, "changes": 0}])
    held = sa.select(label_heads.c.changes).where(label_heads.c.model == model).with_for_update()
    change = int(connection.execute(held).scalar_one()) + 1
    rows: list[dict[str, object]] = []
    changed = 0
    for part in _parts(found):
        known = _known(connection, model, part)
        for label in part:
            before = known.get((label.version, label.event))
            if before is not None and (label.at < before[1] or before[:2] == (label.value, label.at)):
                continue
            row = {"model": model, "version": label.version, "event": signed(label.event)}
            row |= {"value": label.value, "at": label.at, "change": change, "created": now}
            if before is not None and before[0] == label.value:
                row |= {"change": before[2], "created": before[3]}
            else:
                changed += 1
            rows.append(row)
    _put(connection, rows)
    if changed:
        moved = sa.update(label_heads).where(label_heads.c.model == model).values(changes=change)
        connection.execute(moved)
    return changed


def _put(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Write labels by one prepared statement, several times quicker than one long statement for many rows."""
    if not rows:
        return
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = module.insert(labels)
    keys = [column.name for column in labels.primary_key]
    changes = {name: statement.excluded[name] for name in ("value", "at", "change", "created")}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), list(rows))


def _known(
    connection: Connection, model: str, found: Sequence[Label]
) -> dict[tuple[str, int], tuple[str, int, int, int]]:
    t = labels.c
    events = [signed(label.event) for label in found]
    versions = sorted({label.version for label in found})
    query = sa.select(labels).where(t.model == model, t.version.in_(versions), t.event.in_(events))
    return {
        (r.version, unsigned(r.event)): (r.value, r.at, r.change, r.created)
        for r in connection.execute(query)
    }


def changes(connection: Connection, model: str) -> int:
    """Return how often labels of a model have changed, 0 where none ever came."""
    t = label_heads.c
    return int(connection.execute(sa.select(t.changes).where(t.model == model)).scalar() or 0)


def heads(connection: Connection) -> dict[str, int]:
    """Return how often labels of each model have changed."""
    return {r.model: int(r.changes) for r in connection.execute(sa.select(label_heads))}


def progress(connection: Connection) -> dict[ModelVersion, int]:
    """Return up to which change the labels of each model version have been joined."""
    return {(r.model, r.version): int(r.considered) for r in connection.execute(sa.select(label_progress))}


def considered(connection: Connection, name: ModelVersion) -> int:
    """Return up to which change the labels of a model version have been joined with closed windows."""
    t = label_progress.c
    where = (t.model == name[0], t.version == name[1])
    return int(connection.execute(sa.select(t.considered).where(*where)).scalar() or 0)


def consider(connection: Connection, name: ModelVersion, change: int) -> None:
    """Note that labels up to `change` have been joined."""
    upsert(connection, label_progress, [{"model": name[0], "version": name[1], "considered": change}])


def fresh(connection: Connection, name: ModelVersion, after: int, until: int) -> NDArray[np.uint64]:
    """Return the events whose labels came or changed after one change and up to another, ascending."""
    t = labels.c
    query = sa.select(t.event).where(
        t.model == name[0], t.version.in_((name[1], "")), t.change > after, t.change <= until
    )
    found = np.fromiter((row[0] for row in connection.execute(query)), dtype=np.int64)
    return np.unique(found.view(np.uint64))


def lookup(connection: Connection, name: ModelVersion, events: NDArray[np.uint64]) -> Mapping[int, str]:
    """Return the labels of those of `events` that have one; one for the version stands before one for any version."""
    t = labels.c
    found: dict[int, str] = {}
    for part in _parts(events.view(np.int64).tolist()):
        query = (
            sa.select(t.event, t.value)
            .where(t.model == name[0], t.version.in_((name[1], "")), t.event.in_(part))
            .order_by(t.version)
        )
        found |= {unsigned(event): value for event, value in connection.execute(query)}
    return found


def forget(connection: Connection, model: str, before: int) -> int:
    """Forget labels that came before a time; what they said of windows stays in the reports."""
    t = labels.c
    return connection.execute(sa.delete(labels).where(t.model == model, t.created < before)).rowcount


@dataclass(frozen=True)
class Draw:
    """One draw from the kept sample of a window: event keys, ascending, and what became of each, (n,)."""

    keys: NDArray[np.uint64]
    probabilities: NDArray[np.float64]
    chosen: NDArray[np.bool_]


def draws(connection: Connection, name: ModelVersion, start: int) -> list[Draw]:
    """Return the draws from a window, in the order in which they were made."""
    t = label_draws.c
    where = (t.model == name[0], t.version == name[1], t.start == start)
    query = sa.select(t.events, t.probabilities, t.chosen).where(*where).order_by(t.number)
    return [
        Draw(
            np.frombuffer(keys, dtype="<u8"),
            np.frombuffer(probabilities, dtype="<f8"),
            np.frombuffer(chosen, dtype=np.uint8).astype(np.bool_),
        )
        for keys, probabilities, chosen in connection.execute(query)
    ]


def add_draw(connection: Connection, name: ModelVersion, start: int, draw: Draw, now: int) -> None:
    """Keep a draw from a window."""
    row = {
        "model": name[0],
        "version": name[1],
        "start": start,
        "number": len(draws(connection, name, start)),
        "events": draw.keys.astype("<u8").tobytes(),
        "probabilities": draw.probabilities.astype("<f8").tobytes(),
        "chosen": draw.chosen.astype(np.uint8).tobytes(),
        "created": now,
    }
    connection.execute(sa.insert(label_draws).values(row))


def drawn(found: Sequence[Draw], keys: NDArray[np.uint64]) -> NDArray[np.float64] | None:
    """Return with which probability each row that was drawn was drawn at all, 0 for others; None without a draw.

    Draws are independent, so that a row escapes all of them with the product of its chances to escape each.

    >>> keys = np.array([3, 8], np.uint64)
    >>> one = Draw(keys, np.array([0.5, 0.5]), np.array([True, False]))
    >>> drawn([one, one], keys).tolist()
    [0.75, 0.0]
    """
    if not found:
        return None
    escaped, chosen = np.ones(len(keys)), np.zeros(len(keys), np.bool_)
    for draw in found:
        at = np.minimum(np.searchsorted(draw.keys, keys), max(len(draw.keys) - 1, 0))
        there = draw.keys[at] == keys
        escaped *= np.where(there, 1.0 - draw.probabilities[at], 1.0)
        chosen |= there & draw.chosen[at]
    return np.asarray(np.where(chosen, 1.0 - escaped, 0.0), np.float64)


def _parts(found: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(found), _AT_ONCE):
        yield found[at : at + _AT_ONCE]


def signed(event: int) -> int:
    """Return an event key as databases keep it.

    >>> signed(2**64 - 1), unsigned(-1) == 2**64 - 1
    (-1, True)
    """
    return event - 2**64 if event >= 2**63 else event


def unsigned(event: int) -> int:
    """Undo `signed`."""
    return event + 2**64 if event < 0 else event
