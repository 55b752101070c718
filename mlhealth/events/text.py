"""Arrow columns of any type as canonical texts (see `schema.canonical_text`), in bulk."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from mlhealth.schema.model_schema import canonical_text

LARGEST_EXACT = 2.0**53


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column of Arrow type `kind` holds numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of Arrow type `kind` holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def plain(column: pa.ChunkedArray) -> pa.Array:
    """Return the column as one array, dictionaries decoded."""
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], type=array.type)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def to_text(column: pa.ChunkedArray) -> pa.Array:
    """Return the column as canonical texts, null where it is missing or NaN."""
    if pa.types.is_dictionary(column.type):
        array = plain(column)
        return to_text(pa.chunked_array([array]))
    array = plain(column)
    if is_text(array.type):
        return array.cast(pa.string())
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), pa.string())
    if pa.types.is_boolean(array.type):
        return pc.if_else(array, "1", "0")
    if pa.types.is_integer(array.type):
        return array.cast(pa.string())
    if pa.types.is_floating(array.type):
        return _float_text(array.cast(pa.float64()))
    return _each(array)


def _float_text(array: pa.Array) -> pa.Array:
    array = pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
    whole = pc.and_(pc.equal(pc.floor(array), array), pc.less(pc.abs(array), LARGEST_EXACT))
    if pc.all(whole, min_count=0).as_py():
        return array.cast(pa.int64()).cast(pa.string())
    return _each(array)


def _each(array: pa.Array) -> pa.Array:
    codes = array.dictionary_encode()
    texts = pa.array([canonical_text(v) for v in codes.dictionary.to_pylist()], type=pa.string())
    return texts.take(codes.indices)


def distinct(column: pa.ChunkedArray, *, limit: int) -> list[str] | None:
    """Return the distinct canonical texts of a column, sorted; None where there are more than `limit`."""
    values = pc.drop_null(pc.unique(plain(column)))
    if len(values) > 4 * limit:
        return None
    texts = sorted(t for t in set(to_text(pa.chunked_array([values])).to_pylist()) if t is not None)
    return texts if len(texts) <= limit else None
