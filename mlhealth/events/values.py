"""Values of any Python types as one Arrow column."""

from __future__ import annotations

from math import isnan
from typing import Any

import pyarrow as pa

from mlhealth.schema.model_schema import canonical_text


def column_of(values: list[Any], *, number: bool) -> pa.Array:
    """Return values of any types as one column: of their own type where they agree, else as text.

    What a value becomes does not depend on its neighbours: a boolean where a number is needed stays a wrong type.
    """
    if not (number and any(isinstance(value, bool) for value in values)):
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            pass
    return pa.array([_text(value, number=number) for value in values], type=pa.string())


def _text(value: object, *, number: bool) -> str | None:
    if value is None or (isinstance(value, float) and isnan(value)):
        return None
    if number and isinstance(value, bool):
        return "true" if value else "false"
    return canonical_text(value).encode("utf-8", "replace").decode()
