"""Columns that hold personal data: hashed or dropped before anything of an event is kept.

A hash is a BLAKE2b digest of the value's canonical text with the key `MLHEALTH_PII_KEY` of the environment, written as
`pii:` and 32 hexadecimal digits. The same key must be set wherever baselines are fitted and events are read. Without a
key, who can guess a value can also check the guess: set one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson
import pyarrow as pa

from mlhealth.events.text import to_text
from mlhealth.schema.model_schema import ModelSchema, canonical_text

KEY = "MLHEALTH_PII_KEY"
HASH, DROP = "hash", "drop"
_MARK = "pii:"


def hashed(value: object) -> str | None:
    """Return the digest that stands for a value; itself, where it is such a digest already.

    >>> hashed(1.0) == hashed("1"), hashed(hashed("x")) == hashed("x"), hashed(None)
    (True, True, None)
    """
    if value is None:
        return None
    text = value if isinstance(value, str) else canonical_text(value)
    if text.startswith(_MARK):
        return text
    key = os.environ.get(KEY, "").encode()[:64]
    return _MARK + blake2b(text.encode("utf-8", "replace"), digest_size=16, key=key).hexdigest()


def protected(table: pa.Table, schema: ModelSchema) -> pa.Table:
    """Return a table in the user's columns without its personal data."""
    for name, what in schema.pii:
        if name not in table.column_names:
            continue
        place = table.column_names.index(name)
        if what == DROP:
            table = table.remove_column(place)
            continue
        column = table.column(name)
        if pa.types.is_nested(column.type):
            continue
        codes = to_text(column).dictionary_encode()
        digests = pa.array([hashed(text) for text in codes.dictionary.to_pylist()], type=pa.string())
        table = table.set_column(place, name, digests.take(codes.indices))
    return table


def protected_event(event: Mapping[str, Any], schema: ModelSchema) -> dict[str, Any]:
    """Return a flat event without its personal data; a nested value in such a field is dropped."""
    found = dict(event)
    for name, what in schema.pii:
        if name not in found:
            continue
        if what == DROP or isinstance(found[name], dict | list):
            del found[name]
        else:
            found[name] = hashed(found[name])
    return found


def protected_columns(columns: Mapping[str, Sequence[Any]], schema: ModelSchema) -> dict[str, list[Any]]:
    """Return columns of values without personal data."""
    what = dict(schema.pii)
    return {
        name: [hashed(value) for value in values] if name in what else list(values)
        for name, values in columns.items()
        if what.get(name) != DROP
    }


def protected_lines(content: bytes, schema: ModelSchema) -> bytes:
    """Return lines of JSON objects without personal data; a line that is none becomes `null`."""
    return b"\n".join(_line(line, schema) for line in content.split(b"\n") if line.strip())


def _line(line: bytes, schema: ModelSchema) -> bytes:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return b"null"
    return orjson.dumps(protected_event(event, schema)) if isinstance(event, dict) else b"null"
