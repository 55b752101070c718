"""Frames as people hold them become one Arrow table, or one line of complaint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mlhealth.errors import DataError
from mlhealth.notebook.frames import to_table

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.set_index(pd.Index([7, 8, 9])),
        pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]}),
        pa.Table.from_pandas(FRAME, preserve_index=False),
        pa.RecordBatch.from_pandas(FRAME, preserve_index=False),
    ],
    ids=["pandas", "pandas with an index", "polars", "Arrow table", "Arrow batch"],
)
def test_every_kind_of_frame_gives_the_same_rows(frame: Any) -> None:
    """pandas, polars and Arrow hold the same rows, and an index is no column."""
    assert to_table(frame, "frame").to_pydict() == {"a": [1, 2, 3], "b": ["x", "y", None]}


def test_a_path_is_read(tmp_path: Path) -> None:
    """A file's path stands for the rows in it."""
    file = tmp_path / "rows.parquet"
    FRAME.to_parquet(file)
    assert to_table(file, "frame").num_rows == to_table(str(file), "frame").num_rows == 3


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((2, 2)), "production: is a ndarray; give a pandas or polars data frame"),
        (FRAME.iloc[:0], "production: has no rows"),
        (pd.DataFrame(np.zeros((2, 2))), "production: cannot be turned into a table: column 0 is not named"),
        (pd.DataFrame({"a": [1, "x", object()]}), "production: cannot be turned into a table: "),
        (pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), "production: column 'a' is there twice"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(frame: Any, message: str) -> None:
    """Whatever cannot be a table is refused by name, in one line."""
    with pytest.raises(DataError) as refused:
        to_table(frame, "production")
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
