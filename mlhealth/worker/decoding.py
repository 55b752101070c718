"""Messages of one address → events, by the format they say they have; and whose they are where only the body tells."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import orjson

from mlhealth.events import arrow as arrow_events
from mlhealth.events import json as json_events
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages
from mlhealth.schema import ModelSchema, canonical_text
from mlhealth.sources.base import Address

__all__ = ["Decoded", "by_model", "decode"]

ARROW = "arrow"
"""The format header's value for messages that hold Arrow streams."""


def decode(address: Address, messages: Messages, schema: ModelSchema) -> Decoded:
    """Return the events in `messages` and the rejected ones; a format that is not known is taken for JSON."""
    if address.format == ARROW:
        return arrow_events.decode(messages, schema)
    return json_events.decode(messages, schema)


def by_model(address: Address, messages: Messages) -> Iterator[tuple[Address, Messages]]:
    """Yield the messages by model version; where the address names none, the first line's `model` and `version` do.

    This parses each message by itself and is far slower than headers or topic configuration.
    """
    if address.model or len(messages) == 0:
        if len(messages):
            yield address, messages
        return
    groups: dict[Address, list[int]] = {}
    for position, value in enumerate(messages.values):
        groups.setdefault(_named(value, address), []).append(position)
    for found, positions in groups.items():
        yield found, messages.take(np.array(positions, dtype=np.intp))


def _named(value: bytes, address: Address) -> Address:
    try:
        event = orjson.loads(value.split(b"\n", 1)[0])
    except orjson.JSONDecodeError:
        return address
    if not isinstance(event, dict) or not isinstance(event.get("model"), str):
        return address
    return Address(event["model"], canonical_text(event.get("version", "")), address.format)
