"""A topic that nobody has described: from its first events, the schema and the configuration to start from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.clock import DAY, HOUR, MINUTE
from mlhealth.discovery import Event, events_of, schema_text
from mlhealth.errors import DataError, NotFoundError
from mlhealth.events import timestamps
from mlhealth.events.envelope import REQUEST, from_structured
from mlhealth.events.formats.base import format_of
from mlhealth.events.formats.exchange import BROKEN, Exchange, ExchangeFormat
from mlhealth.events.formats.forms import Forms
from mlhealth.sources.base import FORMAT_HEADER, MODEL_HEADER, VERSION_HEADER

_MARKS = (
    ("captureData", "sagemaker"), ("databricks_request_id", "databricks"), ("specversion", "kserve"),
    ("sampling_fraction", "databricks"), ("status_code", "databricks"), ("request", "inference"),
    ("request_id", "bentoml"),
)  # fmt: skip
"""Fields by which a JSON object tells who logged it, the surest first."""
_WINDOWS = ((10 * MINUTE, "10m"), (HOUR, "1h"), (6 * HOUR, "6h"), (DAY, "1d"))
_ENOUGH = 1_000
"""Events that a window should hold."""


@dataclass(frozen=True)
class Record:
    """A record of a topic: `written` in microseconds."""

    headers: Mapping[str, str]
    value: bytes
    written: int


@dataclass
class _Found:
    """What one model version's records are."""

    events: list[Event] = field(default_factory=list)
    formats: dict[str, int] = field(default_factory=dict)
    nameless: int = 0
    times: list[str] = field(default_factory=list)
    written: list[int] = field(default_factory=list)


def proposed(topic: str, bootstrap: str, records: Sequence[Record]) -> str:
    """Return a schema for each model version in a topic, and the configuration that reads them, as YAML documents.

    Raises NotFoundError for a topic without events.
    """
    found: dict[tuple[str, str], _Found] = {}
    for record in records:
        model = record.headers.get(MODEL_HEADER, topic)
        _add(found.setdefault((model, record.headers.get(VERSION_HEADER, "1")), _Found()), record)
    if not found:
        raise NotFoundError(f"topic {topic!r} holds no message to look at")
    schemas = [_schema(model, version, seen) for (model, version), seen in found.items()]
    return "---\n".join([*schemas, _config(topic, bootstrap, found)])


def _schema(model: str, version: str, seen: _Found) -> str:
    head = f"# model.yaml: guessed from {len(seen.events)} events\n"
    if seen.nameless:
        head += f"# {seen.nameless} bodies hold rows without names: name them in payload.features or payload.answers\n"
    return head + schema_text(model, version, seen.events)


def _add(seen: _Found, record: Record) -> None:
    kind = _format(record)
    seen.formats[kind] = seen.formats.get(kind, 0) + 1
    seen.written.append(record.written)
    try:
        seen.events += _events(record, kind, seen)
    except (DataError, *BROKEN):
        return


def _format(record: Record) -> str:
    """Return how a record is written, by its headers or else by its first bytes."""
    if FORMAT_HEADER in record.headers:
        return record.headers[FORMAT_HEADER]
    if "ce_specversion" in record.headers:
        return "kserve"
    if record.value.startswith(b"\xff\xff\xff\xff"):
        return "arrow"
    if record.value.startswith(b"\0"):
        return "avro"
    first = events_of(record.value.split(b"\n", 1)[0], "json")
    return next((kind for name, kind in _MARKS if first and name in first[0]), "json")


def _events(record: Record, kind: str, seen: _Found) -> list[Event]:
    """Return the events of a record under the names that its format gives to their values."""
    if kind in {"json", "bentoml", "arrow"}:
        return events_of(record.value, kind)
    reader = format_of(kind)
    if kind == "kserve":
        return list(_half(record, seen))
    if not isinstance(reader, ExchangeFormat):
        return []
    exchanges = [found for found in reader.exchanges(record.value) if isinstance(found, Exchange)]
    seen.times += [str(found.time) for found in exchanges if found.time is not None]
    return [
        {**asked, **told}
        for found in exchanges
        for asked, told in zip(
            _rows(found.request, seen), _rows(found.answer, seen, is_answer=True), strict=False
        )
    ]


def _half(record: Record, seen: _Found) -> Iterator[Event]:
    """Return the rows of a request or a response that came alone."""
    kind, body = record.headers.get("ce_type", ""), record.value
    if not kind:
        half = from_structured(record.value)
        kind, body = half.kind, half.data
    yield from _rows(orjson.loads(body), seen, is_answer=not kind.endswith(REQUEST))


def _rows(body: object, seen: _Found, *, is_answer: bool = False) -> list[dict[str, Any]]:
    forms = Forms()
    found = forms.answer(body) if is_answer else forms.request(body)
    names = () if found is None else forms.names(found[0])
    if found is None or not names:
        seen.nameless += 1
        return [{}]
    return [
        {name: value for name, value in zip(names, row, strict=True) if name is not None} for row in found[1]
    ]


def _config(topic: str, bootstrap: str, found: Mapping[tuple[str, str], _Found]) -> str:
    """Return the parts of mlhealth.yaml that read the topic; models that every event names need no line."""
    models = "".join(
        f"        {topic}: {{model: {model}, version: {orjson.dumps(version).decode()}, format: {_usual(seen)}}}\n"
        for (model, version), seen in found.items()
    )
    windows = "".join(
        f"  {model}: {{window: {_window(seen)}}}\n"
        for model, seen in {m: seen for (m, _), seen in found.items()}.items()
    )
    named = f"      models:\n{models}" if len(found) == 1 else ""
    return (
        "# mlhealth.yaml\n"
        f"sources:\n  - kafka:\n      bootstrap: {bootstrap}\n      topics: [{topic}]\n{named}models:\n{windows}"
    )


def _usual(seen: _Found) -> str:
    return max(seen.formats, key=seen.formats.__getitem__)


def _window(seen: _Found) -> str:
    """Return a window's length in which enough events come, going by the event times, else by the messages'."""
    names = ("ts", "timestamp", "time", "event_time")
    told = [[str(event[name]) for event in seen.events if event.get(name) is not None] for name in names]
    times = next((_micros(texts) for texts in (*told, seen.times) if len(texts) > 1), np.array(seen.written))
    span = int(times.max() - times.min()) if len(times) > 1 else 0
    return next((text for length, text in _WINDOWS if len(times) * length >= _ENOUGH * span), "1d")


def _micros(texts: Sequence[str]) -> NDArray[np.int64]:
    found = timestamps.to_micros(pa.chunked_array([pa.array(texts, type=pa.string())]))
    known: NDArray[np.int64] = found[found != timestamps.UNKNOWN]
    return known
