"""What was asked: V2 tensors, V1 instances, MLflow's data frames, CSV, or plain objects → columns by feature."""

from __future__ import annotations

import csv
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from mlhealth.errors import DataError
from mlhealth.events.formats.base import Reading
from mlhealth.events.formats.tensors import named, row_columns, tensor
from mlhealth.events.values import columns_of_numbers

Columns = Mapping[str, Sequence[Any]]


def request_columns(body: object, reading: Reading) -> Columns:
    """Return the columns of a parsed request body, by the schema's names; raises DataError or what parsers raise.

    A text is CSV without a header; a list holds rows.
    """
    order = reading.payload.features or reading.schema.feature_names
    names = reading.payload.inputs
    if isinstance(body, str):
        return row_columns(csv_rows(body), order, names)
    if isinstance(body, list):
        return row_columns(body, order, names)
    if not isinstance(body, dict):
        raise DataError("the request has no body that can be read")
    if "dataframe_split" in body:
        split = body["dataframe_split"]
        columns = (
            [names.get(str(name), str(name)) for name in split["columns"]] if "columns" in split else order
        )
        return row_columns(split["data"], columns, names)
    for key in ("instances", "dataframe_records"):
        if key in body:
            return row_columns(body[key], order, names)
    if "inputs" in body:
        return _inputs(body["inputs"], order, names)
    return {names.get(key, key): [value] for key, value in body.items()}


def lines(value: bytes) -> list[bytes]:
    """Return the lines of a message that hold anything."""
    if value[:1] == b"{" and b"\n" not in value:
        return [value]
    return [line for line in value.split(b"\n") if line.strip()]


def csv_rows(text: str) -> list[list[str]]:
    """Return the rows of CSV text, all cells as texts."""
    try:
        return [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise DataError(f"not valid CSV: {error}") from None


def csv_columns(texts: Sequence[str], reading: Reading) -> Mapping[str, pa.ChunkedArray]:
    """Return the columns of CSV lines without quotes, one row each; raises DataError or ValueError for any others."""
    order, schema = reading.payload.features or reading.schema.feature_names, reading.schema
    numbers = columns_of_numbers(schema) - {schema.timestamp}
    content = "\n".join(texts).encode()
    if content.startswith(BOM_UTF8):
        raise DataError("a byte order mark is no CSV")
    table = arrow_csv.read_csv(
        pa.BufferReader(content),
        arrow_csv.ReadOptions(use_threads=False, column_names=order, block_size=len(content) + 1),
        arrow_csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
        arrow_csv.ConvertOptions(
            column_types={name: pa.float64() if name in numbers else pa.string() for name in order},
            null_values=[""],
            strings_can_be_null=False,
        ),
    )
    if table.num_rows != len(texts):
        raise DataError(f"{table.num_rows} rows of CSV in {len(texts)} lines")
    return dict(zip(order, table.columns, strict=True))


def _inputs(inputs: object, order: Sequence[str], names: Mapping[str, str]) -> Columns:
    """Return the columns of `inputs`: tensors (V2), columns by name (MLflow, V1's column form), or rows."""
    if isinstance(inputs, dict):
        return {names.get(key, key): _flat(values) for key, values in inputs.items()}
    if not isinstance(inputs, list):
        raise DataError("inputs: a list of tensors, a list of rows, or columns by name are needed")
    if inputs and isinstance(inputs[0], dict) and "shape" in inputs[0]:
        return named([tensor(found) for found in inputs], order, names)
    return row_columns(inputs, order, names)


def _flat(values: object) -> Sequence[Any]:
    """Return one column's values; a column of one-element rows is flattened."""
    if not isinstance(values, list):
        return [values]
    if values and all(isinstance(value, list) and len(value) == 1 for value in values):
        return [value[0] for value in values]
    return values
