"""Model versions that send events and have no baseline: what their events look like, as a schema to start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mlhealth.config.service import Config
from mlhealth.errors import SourceUnavailable
from mlhealth.store import rejections
from mlhealth.store.database import Database

_TIMES = ("ts", "timestamp", "time", "event_time")
_IDS = ("event_id", "id", "request_id", "prediction_id")
_PREDICTIONS = ("y_pred", "prediction", "predicted")
_SCORES = ("y_score", "score", "probability", "y_proba")
_PREFIX = "no baseline speaks for model"


def proposals(config: Config, database: Database) -> list[str]:
    """Return a `model.yaml` to start from for each model version that sends events without a baseline."""
    with database.read() as connection:
        unclaimed = rejections.unclaimed(connection)
        wanted = rejections.Wanted(reason=_PREFIX, limit=1_000)
        latest = {
            (r.model, r.version): (r.partition, r.offset)
            for r in reversed(rejections.listed(connection, wanted))
        }
    events: dict[tuple[str, str], int] = {}
    for model, version, _, count, _ in unclaimed:
        events[model, version] = events.get((model, version), 0) + count
    out = []
    for (model, version), count in sorted(events.items()):
        event = _example(config, latest.get((model, version)))
        out.append(propose(model, version, count, event))
    return out


def propose(model: str, version: str, count: int, event: Mapping[str, Any] | None) -> str:
    """Return the text of a schema, with the columns' parts guessed from their names."""
    head = f"# {count} events came without a baseline\nmodel: {model}\nversion: {orjson.dumps(version).decode()}\n"
    if event is None:
        return f"{head}# no event of it can be read back from its topic\n"
    parts = {
        "prediction": _first(event, _PREDICTIONS) or "FILL IN",
        "score": _first(event, _SCORES),
        "label": "FILL IN",
        "timestamp": _first(event, _TIMES),
        "id": _first(event, _IDS),
    }
    columns = "".join(f"  {part}: {name}\n" for part, name in parts.items() if name)
    rest = [name for name in event if name not in parts.values() and name not in {"model", "version"}]
    features = "".join(f"  {name}: {_type(event[name])}\n" for name in rest)
    return f"{head}task: binary  # binary, multiclass or regression\ncolumns:\n{columns}features:\n{features}"


def _first(event: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in event), None)


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "numeric" if isinstance(value, int | float) else "categorical"


def _example(config: Config, address: tuple[Any, int] | None) -> Mapping[str, Any] | None:
    from mlhealth.sources.kafka_letters import originals

    kafka = next((source.kafka for source in config.sources if source.kafka is not None), None)
    if kafka is None or address is None:
        return None
    try:
        for _, _, record in originals(kafka, [address]):
            event = orjson.loads((record.value or b"").split(b"\n", 1)[0])
            return event if isinstance(event, dict) else None
    except (SourceUnavailable, orjson.JSONDecodeError):
        return None
    return None
