"""Reading files of users: what works, and the one line that says what does not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlhealth.errors import DataError
from mlhealth.files.tables import read_table, require_columns


def test_csv_and_parquet_hold_the_same(tmp_path: Path) -> None:
    """The same rows as CSV, compressed CSV, TSV and Parquet are the same table."""
    text = "age,region,paid\n41,eu,true\n,,false\n7,us,true\n"
    (tmp_path / "t.csv").write_text(text)
    (tmp_path / "t.tsv").write_text(text.replace(",", "\t"))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    table = read_table(tmp_path / "t.csv")
    pq.write_table(table, tmp_path / "t.parquet")
    assert table.to_pydict() == {
        "age": [41, None, 7],
        "region": ["eu", None, "us"],
        "paid": [True, False, True],
    }
    for name in ("t.tsv", "t.csv.gz", "t.parquet"):
        assert read_table(tmp_path / name).equals(table)


def test_a_type_that_changes_late_in_a_csv_is_seen(tmp_path: Path) -> None:
    """A column that turns to fractions after a megabyte of integers is still numbers."""
    (tmp_path / "t.csv").write_text("x\n" + "1\n" * 700_000 + "2.5\n")
    assert read_table(tmp_path / "t.csv").schema.field("x").type == pa.float64()


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("gone.csv", None, "there is no such file"),
        ("empty.csv", b"", "the file is empty"),
        ("empty.parquet", b"", "the file is empty"),
        ("head.csv", b"a,b\n", "the table has no rows"),
        ("junk.parquet", b"hello there", "cannot be read"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "cannot be read"),
        ("twice.csv", b"a,a\n1,2\n", "column 'a' is there twice"),
        ("table.xlsx", b"PK", "is neither Parquet"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    tmp_path: Path, name: str, body: bytes | None, message: str
) -> None:
    """The message names the file and what is wrong with it, in one line."""
    path = tmp_path / name
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_index_of_pandas_is_no_column(tmp_path: Path) -> None:
    """The index that pandas writes beside the columns is not read as one."""
    pq.write_table(pa.table({"a": [1], "__index_level_0__": [5]}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").column_names == ["a"]


def test_a_missing_column_is_named_with_the_nearest() -> None:
    """A column that is not there is told with its purpose and a suggestion."""
    table = pa.table({"y_pred": [1]})
    with pytest.raises(
        DataError, match=r"f\.csv: there is no column 'ypred' \(columns\.prediction\); did you mean 'y_pred'"
    ):
        require_columns(table, ["ypred"], path="f.csv", purpose="columns.prediction")
