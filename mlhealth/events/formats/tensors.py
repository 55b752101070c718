"""Tensors of the Open Inference Protocol V2 and rows of V1 → columns of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

from mlhealth.errors import DataError

_INTEGERS = ("BOOL", "INT", "UINT", "BYTES", "STRING")
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor: `values` flat in row-major order, `rows` × `width` of them."""

    name: str
    datatype: str
    rows: int
    width: int
    values: Sequence[Any]

    @property
    def holds_classes(self) -> bool:
        """Whether its values are of a type that classes have: whole numbers or texts."""
        return self.datatype.startswith(_INTEGERS)

    def column(self, number: int) -> Sequence[Any]:
        """Return one of its columns."""
        return self.values if self.width == 1 else self.values[number :: self.width]


def _shown(text: str) -> str:
    """Return so much of a text that a sender chose as may stand in a reason, which is kept."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def tensor(data: Mapping[str, Any]) -> Tensor:
    """Return a tensor as V2's JSON writes it; `data` may be nested or flat. Raises DataError."""
    name = str(data["name"])
    shape = data.get("shape")
    if not isinstance(shape, list) or not shape or not all(type(n) is int and n >= 0 for n in shape):
        raise DataError(f"tensor {_shown(name)}: the shape must be a list of whole numbers")
    values = data.get("data")
    if not isinstance(values, list):
        raise DataError(f"tensor {_shown(name)}: has no data; binary data needs the protobuf form")
    while values and isinstance(values[0], list):
        values = list(chain.from_iterable(values))
    width = prod(shape[1:])
    if len(values) != shape[0] * width:
        raise DataError(
            f"tensor {_shown(name)}: {len(values)} values where its shape says {_shown(str(shape[0] * width))}"
        )
    return Tensor(name, str(data.get("datatype", "")).upper(), shape[0], width, values)


def named(
    tensors: Sequence[Tensor], order: Sequence[str], names: Mapping[str, str]
) -> dict[str, Sequence[Any]]:
    """Return the columns of request tensors: one of width 1 is a column of its name, a wider one is all of `order`."""
    columns: dict[str, Sequence[Any]] = {}
    for found in tensors:
        if found.width == 1 and (found.name in names or found.name in order or len(order) != 1):
            columns[names.get(found.name, found.name)] = found.values
        elif found.width == len(order):
            columns.update((name, found.column(i)) for i, name in enumerate(order))
        else:
            raise DataError(
                f"tensor {_shown(found.name)}: {found.width} columns, but the features are {len(order)}; "
                "name its columns in payload.features"
            )
    return columns


def row_columns(
    rows: Sequence[Any], order: Sequence[str], names: Mapping[str, str]
) -> dict[str, Sequence[Any]]:
    """Return the columns of rows that are objects, lists in the order of `order`, or single values."""
    if not rows:
        return {}
    if isinstance(rows[0], dict):
        keys = dict.fromkeys(chain.from_iterable(rows))
        if len(keys) > len(rows[0]) + 1_000:
            raise DataError("the rows have too many different fields")
        return {names.get(key, key): [row.get(key) for row in rows] for key in keys}
    if not isinstance(rows[0], list):
        rows = [[value] for value in rows]
    if any(len(row) != len(order) for row in rows):
        raise DataError(
            f"a row has {len(rows[0])} values, but the features are {len(order)}; name them in payload.features"
        )
    return dict(zip(order, zip(*rows, strict=True), strict=True))
