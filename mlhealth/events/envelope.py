"""CloudEvents 1.0 with a half of an inference: a request or a response, known to each other by one id.

Binary mode (attributes in headers), structured mode (one JSON object) and batches become one form, `Half.packed`: a
line of attributes as JSON, and after it the body as it came. So a body is not touched before it is decoded.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from mlhealth.errors import DataError

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
REQUEST, RESPONSE = "request", "response"
_MARK = b"CE1 "
_PAIR = b"CE2 "


class Half(NamedTuple):
    """A request or a response: `kind` says which. `time` is "" where the event does not say; `model` likewise."""

    id: str
    kind: str
    time: str
    content_type: str
    data: bytes
    model: str = ""

    def packed(self) -> bytes:
        """Return the half as one message."""
        head = orjson.dumps([self.id, self.kind, self.time, self.content_type, self.model])
        return b"%b%b\n%b" % (_MARK, head, self.data)


def unpacked(value: bytes) -> Half:
    """Return the half in a message: as `packed` wrote it, or in structured mode. Raises DataError."""
    if not value.startswith(_MARK):
        return from_structured(value)
    head, _, data = value[len(_MARK) :].partition(b"\n")
    try:
        identity, kind, time, content_type, model = orjson.loads(head)
    except (ValueError, TypeError):
        raise DataError("not a CloudEvent: its head is damaged") from None
    return Half(str(identity), str(kind), str(time), str(content_type), data, str(model))


def from_headers(attributes: Mapping[str, str], data: bytes) -> Half:
    """Return the half of an event in binary mode; `attributes` without their prefix, and `datacontenttype`."""
    return _half(attributes, data)


def from_structured(value: bytes) -> Half:
    """Return the half of an event in structured mode; raises DataError."""
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise DataError("not a CloudEvent: neither attributes in headers nor a JSON object") from None
    return from_object(event)


def from_batch(value: bytes) -> list[Half]:
    """Return the halves of a batch; raises DataError where one is none."""
    try:
        events = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise DataError("a CloudEvents batch must be a JSON array") from None
    if not isinstance(events, list):
        raise DataError("a CloudEvents batch must be a JSON array")
    return [from_object(event) for event in events]


def from_object(event: object) -> Half:
    """Return the half of a parsed event in structured mode; raises DataError."""
    if not isinstance(event, dict):
        raise DataError("a CloudEvent must be a JSON object")
    if "data_base64" in event:
        try:
            data = b64decode(str(event["data_base64"]), validate=True)
        except binascii.Error:
            raise DataError("data_base64 is not base64") from None
    else:
        found = event.get("data")
        data = found.encode("utf-8", "replace") if isinstance(found, str) else orjson.dumps(found)
    attributes = {
        name: str(value)
        for name, value in event.items()
        if name not in {"data", "data_base64"} and value is not None
    }
    return _half(attributes, data)


def _half(attributes: Mapping[str, str], data: bytes) -> Half:
    if attributes.get("specversion") != "1.0":
        raise DataError("not a CloudEvent of version 1.0: the attribute specversion is missing or another")
    kind = attributes.get("type", "").rpartition(".")[2]
    if kind not in {REQUEST, RESPONSE}:
        raise DataError("the CloudEvent's type ends neither in .request nor in .response: no inference's log")
    identity = attributes.get("requestid") or attributes.get("id", "")
    if not identity:
        raise DataError("the CloudEvent has no id")
    model = attributes.get("inferenceservicename") or attributes.get("modelid", "")
    content_type = attributes.get("datacontenttype", "application/json")
    return Half(identity, kind, attributes.get("time", ""), content_type, data, model)


class Pair(NamedTuple):
    """A request and its response, brought together."""

    request: Half
    response: Half

    def packed(self) -> bytes:
        """Return the pair as one message."""
        request, response = self.request.packed(), self.response.packed()
        return b"%b%d\n%b%b" % (_PAIR, len(request), request, response)


def unpacked_pair(value: bytes) -> Pair:
    """Return the pair in a message; raises DataError for anything else."""
    if not value.startswith(_PAIR):
        raise DataError("a request without its response, or a response without its request")
    head, _, rest = value[len(_PAIR) :].partition(b"\n")
    if not head.isdigit() or len(head) > 12:
        raise DataError("not a CloudEvent: its head is damaged")
    length = int(head)
    return Pair(unpacked(rest[:length]), unpacked(rest[length:]))
