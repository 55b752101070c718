"""JSON as compressed bytes, for SQLite; PostgreSQL compresses large values by itself."""

from __future__ import annotations

import zlib
from typing import Any

import orjson
from sqlalchemy import Dialect, LargeBinary, TypeDecorator

LEVEL = 3
"""Of 1 to 9: a report of 50 features takes a few milliseconds, and a tenth of the room."""


class PackedJson(TypeDecorator[Any]):
    """A column of JSON data, kept as zlib-compressed bytes; values that were written as text are read too."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Return the bytes that are stored."""
        return None if value is None else zlib.compress(orjson.dumps(value), LEVEL)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return the data that was stored."""
        if value is None:
            return None
        return orjson.loads(value if isinstance(value, str) else zlib.decompress(value))
