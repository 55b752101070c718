"""Messages of one address → events, by the format they say they have; and whose they are where only the body tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import orjson

from mlhealth.errors import DataError
from mlhealth.events.envelope import unpacked
from mlhealth.events.formats.base import Format, Reading, SchemaSource, formats
from mlhealth.events.formats.framed import FramedFormat
from mlhealth.events.json import Decoded
from mlhealth.events.labels import LABEL_FORMAT
from mlhealth.events.messages import Messages
from mlhealth.schema.model_schema import canonical_text
from mlhealth.sources.base import Address

__all__ = ["Decoded", "by_model", "decode"]


def decode(address: Address, messages: Messages, reading: Reading) -> Decoded:
    """Return the events in `messages` and the rejected ones; a format that is not known is taken for JSON."""
    found = _format(address).decode(messages, reading)
    return replace(found, batch=found.batch.sampled(address.fraction))


def is_paired(address: Address) -> bool:
    """Whether a request and its response are two messages here."""
    return _format(address).is_paired


def prepare(address: Address, messages: Messages, registry: SchemaSource | None) -> None:
    """Fetch all that decoding needs from elsewhere; raises RecoverableError where that does not answer."""
    found = _format(address)
    if isinstance(found, FramedFormat) and registry is not None:
        found.prepare(messages, registry)


def by_model(
    address: Address, messages: Messages, sole_version: Callable[[str], str] = lambda _: ""
) -> Iterator[tuple[Address, Messages]]:
    """Yield the messages by model version; where the address names none, the first line's `model` and `version` do.

    This parses each message by itself and is far slower than headers or topic configuration. `sole_version`: given a
    model, the version of events that name none.
    """
    if len(messages) == 0:
        return
    if address.model:
        yield _complete(address, sole_version), messages
        return
    groups: dict[Address, list[int]] = {}
    named = _named_by_envelope if is_paired(address) else _named
    for position, value in enumerate(messages.values):
        groups.setdefault(_complete(named(value, address), sole_version), []).append(position)
    for found, positions in groups.items():
        yield found, messages.take(np.array(positions, dtype=np.intp))


def _format(address: Address) -> Format:
    known = formats()
    return known.get(address.format) or known["json"]


def _complete(address: Address, sole_version: Callable[[str], str]) -> Address:
    if address.version or not address.model or address.format == LABEL_FORMAT:
        return address
    return replace(address, version=sole_version(address.model))


def _named_by_envelope(value: bytes, address: Address) -> Address:
    try:
        return replace(address, model=unpacked(value).model, version="")
    except DataError:
        return address


def _named(value: bytes, address: Address) -> Address:
    try:
        event = orjson.loads(value.split(b"\n", 1)[0])
    except orjson.JSONDecodeError:
        return address
    if not isinstance(event, dict) or not isinstance(event.get("model"), str):
        return address
    return replace(address, model=event["model"], version=canonical_text(event.get("version", "")))
