"""What a column of the reference data looks like: its storage, its type as a feature, and what is doubtful about it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from mlhealth.events.text import distinct, plain
from mlhealth.schema.model_schema import FeatureType, Storage

MANY_TEXTS = 50
"""Up to here, distinct texts are taken for categories without a doubt."""
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"


def storage_of(kind: pa.DataType) -> Storage | None:
    """Return how a column of Arrow type `kind` is stored; None for types that cannot be a feature."""
    if pa.types.is_dictionary(kind):
        return storage_of(kind.value_type)
    if pa.types.is_boolean(kind):
        return Storage.BOOLEAN
    if pa.types.is_integer(kind):
        return Storage.INTEGER
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Storage.FLOAT
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return Storage.STRING
    return None


def infer_type(column: pa.ChunkedArray) -> FeatureType | None:
    """Return the type a column looks like: text is categorical, numbers that are only 0 and 1 are boolean."""
    storage = storage_of(column.type)
    if storage in (Storage.BOOLEAN, None):
        return FeatureType.BOOLEAN if storage else None
    if storage is Storage.STRING:
        return FeatureType.CATEGORICAL
    values = distinct(column, limit=3)
    return FeatureType.BOOLEAN if values is not None and set(values) == {"0", "1"} else FeatureType.NUMERIC


def doubts(name: str, column: pa.ChunkedArray) -> list[str]:
    """Return why a text column may not be the categories it is taken for."""
    values = pc.drop_null(pc.unique(plain(column)))
    if len(values) <= MANY_TEXTS:
        return []
    numbers = pc.sum(pc.match_substring_regex(values.cast(pa.string()), _NUMBER)).as_py() or 0
    if numbers > len(values) / 2:
        said = f"column {name!r} holds text, but {numbers:,} of its {len(values):,} values are numbers"
        return [f"{said}: write '{name}: numeric' under features to leave out the rows where it is none"]
    if len(values) > (len(column) - column.null_count) / 2:
        return [
            f"column {name!r} has a text of its own in most rows: write '{name}: ignore' if it is an identifier"
        ]
    return []
