"""Event times of any usual spelling as microseconds since the epoch, in bulk."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlhealth.clock import from_iso
from mlhealth.errors import ConfigError
from mlhealth.events.text import is_number, is_text, plain

UNKNOWN = np.iinfo(np.int64).min
"""Stands for a time that is missing or cannot be read."""

_OFFSET = re.compile(r"(Z|[+-]\d\d(:?\d\d)?)\s*$")
_NUMERIC = re.compile(r"\s*-?\d+(\.\d+)?(e[+-]?\d+)?\s*", re.IGNORECASE)
_LIMITS = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0), (np.inf, 1e-3))
"""Below which magnitude a number counts seconds, milliseconds, microseconds, nanoseconds; and its microseconds.

Seconds reach to the year 5138, milliseconds from 1973 on.
"""
_MICROSECONDS = (int(1e14), int(1e17))
"""Between which numbers count microseconds."""


def to_micros(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return microseconds since the epoch, shape (n,); `UNKNOWN` where a value is missing or not a time.

    Arrow timestamps and dates, ISO 8601 texts (UTC where there is no offset) and epoch numbers (seconds to
    nanoseconds, told apart by magnitude) are understood.
    """
    array = plain(column)
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        return _from_arrow(array)
    if pa.types.is_int64(array.type) and len(array) and not array.null_count:
        whole = np.asarray(array)
        if whole.min() >= _MICROSECONDS[0] and whole.max() < _MICROSECONDS[1]:
            return whole
    if is_number(array.type):
        return _from_numbers(array.cast(pa.float64(), safe=False), array)
    if is_text(array.type):
        return _from_text(array.cast(pa.string()))
    return np.full(len(array), UNKNOWN, dtype=np.int64)


def _from_arrow(array: pa.Array) -> NDArray[np.int64]:
    micros = array.cast(pa.timestamp("us", tz=getattr(array.type, "tz", None)), safe=False).cast(pa.int64())
    return np.asarray(pc.fill_null(micros, UNKNOWN).to_numpy(zero_copy_only=False), dtype=np.int64)


def _from_numbers(values: pa.Array, exact: pa.Array) -> NDArray[np.int64]:
    number = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    size = np.abs(number)
    unit = np.select(
        [size < limit for limit, _ in _LIMITS], [factor for _, factor in _LIMITS], default=np.nan
    )
    product = number * unit
    usable = np.isfinite(product) & (np.abs(product) < 2.0**62)
    micros = np.full(len(number), UNKNOWN, dtype=np.int64)
    micros[usable] = np.round(product[usable]).astype(np.int64)
    if pa.types.is_integer(exact.type):
        whole = np.asarray(pc.fill_null(exact.cast(pa.int64(), safe=False), 0).to_numpy(zero_copy_only=False))
        same = usable & (unit == 1.0)
        micros[same] = whole[same]
    return micros


def _from_text(array: pa.Array) -> NDArray[np.int64]:
    try:
        return _from_arrow(_iso(array))
    except pa.ArrowInvalid:
        pass
    codes = array.dictionary_encode()
    micros = np.array([_one(text) for text in codes.dictionary.to_pylist()], dtype=np.int64)
    index = np.asarray(pc.fill_null(codes.indices, 0).to_numpy(zero_copy_only=False))
    out = micros[index] if len(micros) else np.full(len(array), UNKNOWN, dtype=np.int64)
    if array.null_count:
        out[array.is_null().to_numpy(zero_copy_only=False)] = UNKNOWN
    return out


def _iso(array: pa.Array) -> pa.Array:
    """Cast ISO texts that all have an offset, or all have none, as the first one does; raises ArrowInvalid otherwise.

    A cast that fails costs many times what one that succeeds does, so only the likely one is tried.
    """
    first = next((text for text in array[: array.null_count + 1].to_pylist() if text is not None), "")
    return array.cast(pa.timestamp("us", tz="UTC" if _OFFSET.search(first) else None))


def _one(text: str) -> int:
    if _NUMERIC.fullmatch(text):
        return int(_from_numbers(pa.array([float(text)]), pa.array([float(text)]))[0])
    try:
        return from_iso(text)
    except (ConfigError, OverflowError):
        return int(UNKNOWN)
