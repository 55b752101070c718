"""What was answered → columns of prediction and scores, by name where there are names, else by shape and type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlhealth.errors import DataError
from mlhealth.events.formats.base import Reading
from mlhealth.events.formats.requests import csv_rows
from mlhealth.events.formats.tensors import Tensor, tensor
from mlhealth.schema.model_schema import ModelSchema

_CUT = 0.5
"""From which score on the positive class is what a binary model that logs no class has said."""


def answer_columns(body: object, reading: Reading) -> Mapping[str, Sequence[Any]]:
    """Return prediction and scores of a parsed response body, under the schema's names.

    Where only scores are there, the prediction is the most probable class. Raises DataError or what parsers raise.
    """
    columns = _columns(body, reading)
    schema = reading.schema
    if schema.prediction not in columns and schema.scores and schema.scores[0] in columns:
        columns[schema.prediction] = _most_probable(columns, schema)
    return columns


def _columns(body: object, reading: Reading) -> dict[str, Sequence[Any]]:
    if isinstance(body, str):
        return _unnamed([_numbers(row) for row in csv_rows(body)], reading)
    if isinstance(body, dict) and "outputs" in body:
        return _tensors([tensor(found) for found in body["outputs"]], reading)
    if isinstance(body, dict) and "predictions" in body:
        return _values(body["predictions"], reading)
    if isinstance(body, dict):
        return {reading.payload.outputs.get(key, key): [value] for key, value in body.items()}
    if body is None:
        raise DataError("the response has no body that can be read")
    return _values(body, reading)


def _values(found: object, reading: Reading) -> dict[str, Sequence[Any]]:
    """Return the columns of predictions: columns by name, or a list of objects, of rows or of single values."""
    names = reading.payload.outputs
    if isinstance(found, dict):
        return {names.get(k, k): v if isinstance(v, list) else [v] for k, v in found.items()}
    rows: list[Any] = found if isinstance(found, list) else [found]
    if rows and isinstance(rows[0], dict):
        return {names.get(key, key): [row.get(key) for row in rows] for key in rows[0]}
    return _unnamed(rows, reading)


def _tensors(tensors: Sequence[Tensor], reading: Reading) -> dict[str, Sequence[Any]]:
    columns: dict[str, Sequence[Any]] = {}
    schema, names = reading.schema, reading.payload.outputs
    known = {schema.prediction, *schema.scores}
    for found in tensors:
        name = names.get(found.name, found.name)
        if name in known and found.width == 1:
            columns[name] = found.values
        elif found.width > 1:
            columns |= _wide([found.column(i) for i in range(found.width)], reading)
        elif found.holds_classes or len(tensors) == 1 or not schema.is_classification:
            columns |= _narrow(found.values, reading, is_class=found.holds_classes)
        elif schema.scores:
            columns |= _narrow(found.values, reading, is_class=False)
    return columns


def _unnamed(rows: Sequence[Any], reading: Reading) -> dict[str, Sequence[Any]]:
    """Return the columns of rows without names."""
    if not rows:
        return {}
    if not isinstance(rows[0], list | tuple):
        return _narrow(rows, reading, is_class=not any(isinstance(v, float) for v in rows))
    columns = list(zip(*rows, strict=True))
    if len(columns) != 1:
        return _wide(columns, reading)
    return _narrow(columns[0], reading, is_class=not any(isinstance(v, float) for v in columns[0]))


def _narrow(values: Sequence[Any], reading: Reading, *, is_class: bool) -> dict[str, Sequence[Any]]:
    """Return one column without a known name: the prediction, or a binary model's score."""
    schema = reading.schema
    if reading.payload.answers:
        return {reading.payload.answers[0]: values}
    if schema.is_classification and len(schema.scores) == 1 and not is_class:
        return {schema.scores[0]: values}
    return {schema.prediction: values}


def _wide(columns: Sequence[Sequence[Any]], reading: Reading) -> dict[str, Sequence[Any]]:
    """Return several columns without names: those of `payload.answers`, or a probability of each class."""
    schema, answers = reading.schema, reading.payload.answers
    if len(answers) == len(columns):
        return dict(zip(answers, columns, strict=True))
    if not schema.scores or len(columns) != len(schema.classes):
        raise DataError(f"the response has {len(columns)} columns; name them in payload.answers")
    if len(schema.scores) == 1:
        return {schema.scores[0]: columns[1]}
    return dict(zip(schema.scores, columns, strict=True))


def _most_probable(columns: Mapping[str, Sequence[Any]], schema: ModelSchema) -> list[Any]:
    if len(schema.scores) == 1:
        return [None if s is None else schema.classes[float(s) >= _CUT] for s in columns[schema.scores[0]]]
    rows = zip(*(columns[score] for score in schema.scores), strict=True)
    return [None if None in row else schema.classes[row.index(max(row))] for row in rows]


def _numbers(row: list[str]) -> list[Any]:
    """Return CSV cells, those that are written as fractions as numbers."""
    return [fraction(cell) for cell in row]


def fraction(cell: str) -> str | float:
    """Return a CSV cell, as a number where it is written as a fraction."""
    try:
        return float(cell) if not cell.lstrip("+-").isdigit() else cell
    except ValueError:
        return cell
