"""Model versions that send events and have no baseline: what their events look like, as a schema to start from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from mlhealth.config.service import Config
from mlhealth.errors import SourceUnavailable
from mlhealth.events.messages import Partition
from mlhealth.sources.base import FORMAT_HEADER
from mlhealth.sources.inbox import TOPIC
from mlhealth.store import rejections
from mlhealth.store.database import Database
from mlhealth.store.inbox import Inbox

MESSAGES, EVENTS = 20, 500
"""So many of the newest messages of a model version are looked at, and so many events in them."""
_TIMES = ("ts", "timestamp", "time", "event_time")
_IDS = ("event_id", "id", "request_id", "prediction_id")
_PREDICTIONS = ("y_pred", "prediction", "predicted")
_SCORES = ("y_score", "score", "probability", "y_proba")
_PREFIX = "no baseline speaks for model"
_FEW = 20
"""Whole-number predictions of at most so many values are classes."""

Event = Mapping[str, Any]
Addresses = Sequence[tuple[Partition, int]]


def proposals(config: Config, database: Database) -> list[str]:
    """Return a `model.yaml` to start from for each model version that sends events without a baseline."""
    with database.read() as connection:
        unclaimed = rejections.unclaimed(connection)
        listed = rejections.listed(connection, rejections.Wanted(reason=_PREFIX, limit=10_000))
    places: dict[tuple[str, str], list[tuple[Partition, int]]] = {}
    for r in listed:
        known = places.setdefault((r.model, r.version), [])
        if len(known) < MESSAGES and (r.partition, r.offset) not in known:
            known.append((r.partition, r.offset))
    counts: dict[tuple[str, str], int] = {}
    for model, version, _, count, _ in unclaimed:
        counts[model, version] = counts.get((model, version), 0) + count
    return [
        propose(model, version, count, _examples(config, database, places.get((model, version), ())))
        for (model, version), count in sorted(counts.items())
    ]


def propose(model: str, version: str, count: int, events: Sequence[Event]) -> str:
    """Return the text of a schema: parts are guessed from the names of columns, types from all values seen.

    >>> print(propose("loans", "1", 2, [{"y_pred": 1, "age": 41}, {"y_pred": 0, "age": None}]))
    # 2 messages came without a baseline; guessed from 2 events
    model: loans
    version: "1"
    task: binary  # binary, multiclass or regression
    columns:
      prediction: y_pred
      label: FILL IN
    features:
      age: numeric
    <BLANKLINE>
    """
    if not events:
        named = f"model: {model}\nversion: {orjson.dumps(version).decode()}\n"
        return f"# {count} messages came without a baseline\n{named}# none of them can be read back from its source\n"
    head = f"# {count} messages came without a baseline; guessed from {len(events)} events\n"
    return head + schema_text(model, version, events)


def schema_text(model: str, version: str, events: Sequence[Event]) -> str:
    """Return a `model.yaml` with what can be guessed from events."""
    named = f"model: {model}\nversion: {orjson.dumps(version).decode()}\n"
    columns = {name: _values(name, events) for event in events for name in event}
    parts = {
        "prediction": _first(columns, _PREDICTIONS) or "FILL IN",
        "score": _first(columns, _SCORES),
        "label": "FILL IN",
        "timestamp": _first(columns, _TIMES),
        "id": _first(columns, _IDS),
    }
    lines = "".join(f"  {part}: {name}\n" for part, name in parts.items() if name)
    rest = [name for name in columns if name not in parts.values() and name not in {"model", "version"}]
    features = "".join(f"  {name}: {_type(columns[name])}\n" for name in rest)
    task = _task(columns.get(parts["prediction"] or "", []))
    return f"{named}task: {task}  # binary, multiclass or regression\ncolumns:\n{lines}features:\n{features}"


def _values(name: str, events: Sequence[Event]) -> list[Any]:
    return [event[name] for event in events if event.get(name) is not None]


def _first(columns: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in columns), None)


def _type(values: Sequence[object]) -> str:
    if values and all(isinstance(value, bool) for value in values):
        return "boolean"
    is_number = [isinstance(value, int | float) and not isinstance(value, bool) for value in values]
    return "numeric" if values and all(is_number) else "categorical"


def _task(predictions: Sequence[object]) -> str:
    distinct = set(map(str, predictions))
    is_whole = all(not isinstance(value, float) or value.is_integer() for value in predictions)
    if not is_whole or len(distinct) > _FEW:
        return "regression"
    return "binary" if len(distinct) <= 2 else "multiclass"


def _examples(config: Config, database: Database, addresses: Addresses) -> list[Event]:
    """Return events that lie at these addresses, as far as they can be read back."""
    found: list[Event] = []
    for body, form in (*_of_inbox(database, addresses), *_of_topics(config, addresses)):
        found += events_of(body, form)
        if len(found) >= EVENTS:
            break
    return found[:EVENTS]


def _of_inbox(database: Database, addresses: Addresses) -> Iterator[tuple[bytes, str]]:
    inbox = Inbox(database)
    for partition, offset in addresses:
        if partition.topic == TOPIC:
            for message in inbox.read(partition.number, offset, 1)[:1]:
                if message.offset == offset:
                    yield message.entry.body, message.entry.format


def _of_topics(config: Config, addresses: Addresses) -> Iterator[tuple[bytes, str]]:
    from mlhealth.sources.kafka_letters import originals

    kafka = [source.kafka for source in config.sources if source.kafka is not None]
    wanted = [
        place for place in addresses if ":" not in place[0].topic
    ]  # topics have no colon, other sources do
    if not kafka or not wanted:
        return
    try:
        for _, _, record in originals(kafka[0], wanted):
            headers = {name: value.decode() for name, value in record.headers or ()}
            yield record.value or b"", headers.get(FORMAT_HEADER, kafka[0].format)
    except SourceUnavailable:
        return


def events_of(body: bytes, form: str) -> list[Event]:
    """Return the events of one message, none where it is in a form that says nothing without its schema."""
    try:
        if form == "arrow":
            return list(pa.ipc.open_stream(body).read_all().slice(0, EVENTS).to_pylist())
        lines = [orjson.loads(line) for line in body.split(b"\n")[:EVENTS] if line.strip()]
    except (orjson.JSONDecodeError, pa.ArrowInvalid):
        return []
    return [event for event in lines if isinstance(event, dict)]
