"""Records of serving systems that log requests and responses apart → halves, whatever says which is which.

CloudEvents carry it in headers (`ce_…`, binary mode) or in the body (structured mode); Seldon Core 2 in the topic's
name (`PREFIX.NAMESPACE.model.NAME.inputs` or `.outputs`), with the request's id as the message key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlhealth.clock import to_iso
from mlhealth.errors import ConfigError, DataError
from mlhealth.events.envelope import REQUEST, RESPONSE, STRUCTURED, Half, from_headers
from mlhealth.sources.base import Address

Headers = Sequence[tuple[str, bytes | None]]
CLOUD_EVENTS = "kserve"
SELDON = "seldon"
_ATTRIBUTE = "ce_"
_SELDON_TOPIC = re.compile(r".+\.(?:model|pipeline)\.(?P<name>[^.]+)\.(?P<part>inputs|outputs)")
_KINDS = {"inputs": REQUEST, "outputs": RESPONSE}


@dataclass(frozen=True, slots=True)
class Record:
    """A record of Kafka: `written` in milliseconds; `attributes` of a CloudEvent in binary mode."""

    topic: str
    written: int
    attributes: Mapping[str, str]
    key: bytes | None
    value: bytes


def parted(headers: Headers) -> tuple[Headers, dict[str, str]]:
    """Return the headers that are no CloudEvent's, and its attributes (in structured mode, the content type)."""
    if not headers:
        return headers, {}
    attributes = {
        name[len(_ATTRIBUTE) :]: (value or b"").decode("utf-8", "replace")
        for name, value in headers
        if name.startswith(_ATTRIBUTE)
    }
    content_type = next((value or b"" for name, value in headers if name == "content-type"), b"")
    if not attributes and not content_type.startswith(STRUCTURED.encode()):
        return headers, {}
    if content_type:
        attributes["datacontenttype"] = content_type.decode("utf-8", "replace")
    return [h for h in headers if h[0].startswith("mlhealth-")], attributes


def is_half(address: Address) -> bool:
    """Whether the messages of an address are requests and responses that came apart."""
    return address.format in {CLOUD_EVENTS, SELDON}


def half_of(record: Record, address: Address) -> bytes:
    """Return a record as a half; as it is, to be rejected when it is read, where it is none."""
    if address.format == SELDON:
        return _seldon(record)
    if "specversion" not in record.attributes:
        return record.value
    try:
        return from_headers(record.attributes, record.value).packed()
    except DataError:
        return record.value


def topic_address(topic: str, kind: str) -> Address:
    """Return what a topic carries that the configuration does not name: Seldon's say which model in their names."""
    found = _SELDON_TOPIC.fullmatch(topic) if kind == SELDON else None
    return Address("" if found is None else found["name"], "", kind)


def check_alike(topics: Mapping[str, Address], counts: Mapping[str, int]) -> None:
    """Raise ConfigError where topics that hold each other's halves have different numbers of partitions.

    Partitions of one number are given to one worker, so that the halves of one key meet.
    """
    alike: dict[Address, dict[str, int]] = {}
    for topic, address in topics.items():
        if is_half(address) and topic in counts:
            alike.setdefault(address, {})[topic] = counts[topic]
    for address, found in alike.items():
        if len(set(found.values())) > 1:
            told = ", ".join(f"{topic} has {count}" for topic, count in sorted(found.items()))
            raise ConfigError(
                f"kafka: requests and responses of {address.model} must be partitioned alike, but {told} partitions"
            )


def _seldon(record: Record) -> bytes:
    found = _SELDON_TOPIC.fullmatch(record.topic)
    kind = _KINDS[found["part"]] if found else (RESPONSE if record.topic.endswith("outputs") else REQUEST)
    identity = (record.key or b"").decode("utf-8", "replace")
    time = to_iso(record.written * 1_000)
    return Half(identity, kind, time, "application/x-protobuf", record.value).packed()
