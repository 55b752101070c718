"""Values of any Python types as one Arrow column."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import chain
from math import isnan
from typing import Any

import pyarrow as pa

from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, canonical_text

_CHANGED = {bytes, Decimal, dict, list, tuple}
"""Types whose values are replaced first."""
_KNOWN = {float: pa.float64(), str: pa.string(), int: pa.int64()}
"""Arrow types that need not be found by looking at every value."""


def column_of(values: Sequence[Any], *, number: bool) -> pa.Array:
    """Return values of any types as one column: of their own type where they agree, else as text.

    What a value becomes does not depend on its neighbours: a boolean where a number is needed stays a wrong type. Bytes
    are texts, decimals are numbers; what is no single value stands as "?", a wrong type where a number is needed.
    """
    kinds = set(map(type, values))
    if not kinds.isdisjoint(_CHANGED):
        values = [_single(value) for value in values]
    if not (number and bool in kinds):
        try:
            return pa.array(values, type=_KNOWN.get(*kinds) if len(kinds) == 1 else None)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            pass
    return pa.array([_text(value, number=number) for value in values], type=pa.string())


class GrowingColumn:
    """A column that grows by some values at a time; numbers and texts do not stay Python objects until it is whole."""

    def __init__(self) -> None:
        self._parts: list[Sequence[Any] | pa.Array] = []

    def add(self, values: Sequence[Any]) -> None:
        """Add values at the end."""
        kinds = set(map(type, values)) - {type(None)}
        kind = _KNOWN.get(*kinds) if len(kinds) == 1 and int not in kinds else None
        self._parts.append(values if kind is None else pa.array(values, type=kind))

    def values(self) -> Sequence[Any] | pa.Array:
        """Return all values: an Arrow array where they are of one type that needs no closer look, else a list."""
        types = {part.type if isinstance(part, pa.Array) else None for part in self._parts}
        if len(types) == 1 and None not in types:
            return pa.concat_arrays(self._parts)
        listed = (part.to_pylist() if isinstance(part, pa.Array) else part for part in self._parts)
        return list(chain.from_iterable(listed))


def columns_of_numbers(schema: ModelSchema) -> frozenset[str]:
    """Return the columns in which a boolean is of a wrong type: times are numbers here."""
    found = {feature.name for feature in schema.features if _is_number(feature)} | set(schema.scores)
    found |= set() if schema.is_classification else {schema.prediction}
    return frozenset(found if schema.timestamp is None else found | {schema.timestamp})


def _is_number(feature: Feature) -> bool:
    return feature.type is FeatureType.NUMERIC and feature.storage is not Storage.BOOLEAN


def _single(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Decimal):
        return float(value)
    return "?" if isinstance(value, dict | list | tuple) else value


def _text(value: object, *, number: bool) -> str | None:
    if value is None or (isinstance(value, float) and isnan(value)):
        return None
    if number and isinstance(value, bool):
        return "true" if value else "false"
    return canonical_text(value).encode("utf-8", "replace").decode()
