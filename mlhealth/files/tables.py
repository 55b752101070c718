"""Parquet and CSV files → Arrow tables; what is wrong with one is told in one line."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from mlhealth.errors import DataError

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt")
_MISSING = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "none", "<NA>", "?"]


def read_table(path: Path, *, texts: Sequence[str] = ()) -> pa.Table:
    """Return the rows of a Parquet or CSV file; raises DataError in one line naming the file.

    `texts`: columns of a CSV file that are taken as they are written, so that an id such as `007` stays one.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file")
    if path.is_dir() and not any(path.glob("*.parquet")):
        raise DataError(f"{path}: is a folder without Parquet files")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")
    table = _read(path, texts)
    repeated = {name for name in table.column_names if table.column_names.count(name) > 1}
    if repeated:
        raise DataError(f"{path}: column {min(repeated)!r} is there twice")
    if table.num_rows == 0:
        raise DataError(f"{path}: the table has no rows")
    return table.select([name for name in table.column_names if not name.startswith("__index_level_")])


def require_columns(table: pa.Table, names: Sequence[str], *, path: Path | str, purpose: str) -> None:
    """Raise DataError naming file and column where the table lacks one of `names`, needed for `purpose`."""
    for name in names:
        if name not in table.column_names:
            near = get_close_matches(name, table.column_names, n=1)
            said = (
                f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(table.column_names[:12])}"
            )
            raise DataError(f"{path}: there is no column {name!r} ({purpose}){said}")


def _read(path: Path, texts: Sequence[str]) -> pa.Table:
    name = path.name.lower()
    try:
        if path.is_dir() or name.endswith(_PARQUET):
            return pq.read_table(path)
        if name.endswith(_CSV):
            return _read_csv(path, texts)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: cannot be read: {reason}") from None
    raise DataError(f"{path}: is neither Parquet (.parquet) nor CSV (.csv); convert it to one of them")


def _read_csv(path: Path, texts: Sequence[str]) -> pa.Table:
    delimiter = "\t" if ".tsv" in path.name.lower() else ","
    block = min(max(path.stat().st_size * (12 if path.suffix == ".gz" else 1) + 1, 1 << 20), (1 << 31) - 1)
    return arrow_csv.read_csv(
        path,
        read_options=arrow_csv.ReadOptions(block_size=block),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter),
        convert_options=arrow_csv.ConvertOptions(
            null_values=_MISSING, strings_can_be_null=True, column_types=dict.fromkeys(texts, pa.string())
        ),
    )
