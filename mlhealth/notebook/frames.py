"""Data frames as people hold them (pandas, polars, Arrow, a file's path) → an Arrow table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mlhealth.errors import DataError
from mlhealth.files.tables import read_table

Frame = Any
"""A pandas or polars data frame, an Arrow table or batch, whatever exports an Arrow stream, or a file's path."""


def to_table(frame: Frame, name: str) -> pa.Table:
    """Return the rows of `frame`; raises DataError in one line, in which the frame is called `name`."""
    if isinstance(frame, str | Path):
        return read_table(Path(frame))
    try:
        table = _converted(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name}: cannot be turned into a table: {reason}") from None
    if table is None:
        kind = type(frame).__name__
        raise DataError(f"{name}: is a {kind}; give a pandas or polars data frame, an Arrow table or a path")
    repeated = {column for column in table.column_names if table.column_names.count(column) > 1}
    if repeated:
        raise DataError(f"{name}: column {min(repeated)!r} is there twice")
    if table.num_rows == 0:
        raise DataError(f"{name}: has no rows")
    return table


def _converted(frame: Frame) -> pa.Table | None:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, pd.DataFrame):
        names: list[object] = list(frame.columns)
        odd = [name for name in names if not isinstance(name, str)]
        if odd:
            raise TypeError(f"column {odd[0]!r} is not named by a text; rename it")
        return pa.Table.from_pandas(frame, preserve_index=False)
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    # polars before 1.3 knows this only
    return frame.to_arrow() if hasattr(frame, "to_arrow") else None
