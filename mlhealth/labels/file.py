"""Labels from a Parquet or CSV file, such as one that `mlhealth label suggest` wrote and a person filled in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mlhealth.errors import DataError
from mlhealth.events.batch import KEY
from mlhealth.events.labels import DecodedLabels, Names, Reading
from mlhealth.files.tables import read_table
from mlhealth.schema.model_schema import ModelSchema

MISSING = "the label is missing"


@dataclass(frozen=True)
class LabelFile:
    """The labels of a file, how many rows have none yet, and why others cannot be used, by how many."""

    labels: DecodedLabels
    unfilled: int
    faults: tuple[tuple[str, int], ...]


def read_label_file(path: Path, schema: ModelSchema, now: int) -> LabelFile:
    """Return the labels in a file, as of `now` where a row does not say; raises DataError where it holds none."""
    names = Names.of(schema)
    table = read_table(path, texts=(KEY, *names.id, *(names.key or ())[:1], *names.label))
    if not set(names.label) & set(table.column_names):
        raise DataError(f"{path}: there is no column {' or '.join(map(repr, names.label))} with the labels")
    reading = Reading(names, schema)
    reasons = [reading.take(row, 0, now) for row in table.to_pylist()]
    faults = Counter(reason for reason in reasons if reason is not None)
    unfilled = faults.pop(MISSING, 0)
    found = reading.done()
    if found.rows == 0:
        why = faults.most_common(1)[0][0] if faults else "no row has a label yet"
        raise DataError(f"{path}: no label can be used: {why}")
    return LabelFile(found, unfilled, tuple(faults.most_common()))
