"""Halves of inferences without personal data, so that none waits in a store for the other half."""

from __future__ import annotations

import orjson

from mlhealth.errors import DataError
from mlhealth.events.envelope import REQUEST, unpacked
from mlhealth.events.formats.base import Reading
from mlhealth.events.formats.exchange import BROKEN
from mlhealth.events.formats.requests import request_columns
from mlhealth.events.formats.seldon import body_of
from mlhealth.events.personal import protected_columns


def protected_half(value: bytes, reading: Reading) -> bytes:
    """Return a half as a message without personal data, a request as columns; nothing where it cannot be read."""
    try:
        half = unpacked(value)
        if half.kind != REQUEST:
            return value
        columns = protected_columns(request_columns(body_of(half), reading), reading.schema)
        kept = set(reading.schema.feature_names) | set(reading.schema.segments)
        named = {name: values for name, values in columns.items() if name in kept}
        return half._replace(data=orjson.dumps({"inputs": named})).packed()
    except (DataError, TypeError, *BROKEN):
        return b""
