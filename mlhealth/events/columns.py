"""One column in the user's own type → numbers, texts or codes of classes, in bulk.

All take columns by name and the number of rows, n; a column that is not there is missing in every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlhealth.events.text import LARGEST_EXACT, is_number, is_text, plain, to_text
from mlhealth.schema.model_schema import canonical_text

_NAN = pa.scalar(np.nan)
Given = Mapping[str, pa.ChunkedArray]
"""Columns of a table in the user's names."""
Wrong = NDArray[np.bool_] | None
"""Where a column holds something of a wrong type, shape (n,); None: nowhere."""


def class_codes(
    given: Given, name: str, classes: Sequence[str], rows: int
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Return the index into `classes` of each row, -1 where it is none of them, and where it is missing."""
    array = plain(given[name]) if name in given else None
    if array is not None and not array.null_count and is_number(array.type):
        found = _number_codes(array, classes)
        if found is not None:
            return found
    texts = text_column(given, name, rows)
    index = pc.index_in(texts, value_set=pa.array(classes, type=pa.string()))
    codes = pc.fill_null(index, -1).to_numpy(zero_copy_only=False).astype(np.int16)
    return codes, np.asarray(texts.is_null().to_numpy(zero_copy_only=False))


def _number_codes(
    array: pa.Array, classes: Sequence[str]
) -> tuple[NDArray[np.int16], NDArray[np.bool_]] | None:
    """Return the same of numbers, which are compared as such; None where a class is too large a number for that."""
    numbers = [(value, code) for code, text in enumerate(classes) if (value := _as_class(text)) is not None]
    if not numbers or any(abs(value) >= LARGEST_EXACT for value, _ in numbers):
        return None
    known, code = (np.array(part) for part in zip(*sorted(numbers), strict=True))
    values = _floats(array)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    codes = np.where(known[place] == values, code[place], -1).astype(np.int16)
    return codes, np.isnan(values)


def _as_class(text: str) -> float | None:
    """Return the number that a class is, None where no number is written so."""
    value = _number(text)
    return value if value is not None and not np.isnan(value) and canonical_text(value) == text else None


def text_column(given: Given, name: str, rows: int) -> pa.Array:
    """Return a column as canonical texts; one of nested values as empty texts."""
    if name not in given:
        return pa.nulls(rows, pa.string())
    column = given[name]
    if pa.types.is_nested(column.type):
        return pa.array([None if v is None else "" for v in column.to_pylist()], type=pa.string())
    return to_text(column)


def boolean_column(given: Given, name: str, rows: int) -> pa.Array:
    """Return a column as texts in which true is 1 and false is 0."""
    texts = text_column(given, name, rows)
    if name not in given or is_number(given[name].type) or pa.types.is_boolean(given[name].type):
        return texts
    spelt = pc.utf8_lower(texts)
    return pc.if_else(pc.equal(spelt, "true"), "1", pc.if_else(pc.equal(spelt, "false"), "0", texts))


def numbers(given: Given, name: str, rows: int) -> tuple[NDArray[np.float64], Wrong]:
    """Return a column as float64, NaN where it is missing, and where it holds something else than a number."""
    values, wrong = number_column(given, name, rows)
    return np.asarray(values), wrong


def number_column(given: Given, name: str, rows: int) -> tuple[pa.Array | NDArray[np.float64], Wrong]:
    """Return the same, the column as it came where it is float64 already."""
    if name not in given:
        return np.full(rows, np.nan), None
    array = plain(given[name])
    if pa.types.is_float64(array.type) and not array.null_count:
        return array, None
    if is_text(array.type):
        return _parsed(array.cast(pa.string()))
    if is_number(array.type) or pa.types.is_boolean(array.type) or pa.types.is_null(array.type):
        return _floats(array), None
    return np.full(rows, np.nan), np.asarray(array.is_valid().to_numpy(zero_copy_only=False))


def _floats(array: pa.Array) -> NDArray[np.float64]:
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    if not pa.types.is_float64(array.type):
        array = array.cast(pa.float64(), safe=False)
    if array.null_count:
        array = pc.coalesce(array, _NAN)
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _parsed(texts: pa.Array) -> tuple[NDArray[np.float64], Wrong]:
    """Return the numbers that texts spell; an empty text is missing, any other is wrong."""
    trimmed = pc.utf8_trim_whitespace(texts)
    trimmed = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
    try:
        return _floats(trimmed.cast(pa.float64())), None
    except pa.ArrowInvalid:
        pass
    values = [_number(text) for text in trimmed.to_pylist()]
    found = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    wrong = np.array([v is None for v in values]) & np.asarray(
        trimmed.is_valid().to_numpy(zero_copy_only=False)
    )
    return found, wrong


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
