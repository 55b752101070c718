"""Which kind of table lies at a location, and its pieces."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa

from mlhealth.backfill.tables.base import Piece
from mlhealth.errors import ConfigError, DataError


class TableFormat(StrEnum):
    """Kinds of tables."""

    PARQUET = "parquet"
    DELTA = "delta"
    ICEBERG = "iceberg"


def format_named(name: str | None) -> TableFormat | None:
    """Return a format by name, None for None; raises ConfigError where there is none."""
    if name is None:
        return None
    try:
        return TableFormat(name)
    except ValueError:
        raise ConfigError(f"there is no table format {name!r}; known are {', '.join(TableFormat)}") from None


_PACKAGES = {TableFormat.DELTA: "deltalake", TableFormat.ICEBERG: "pyiceberg"}


def open_pieces(location: str, table_format: TableFormat | None = None) -> tuple[Piece, ...]:
    """Return the pieces of a table.

    Raises DataError where there is none or it is empty, ConfigError where the package that reads it is missing.
    """
    kind = table_format or kind_at(location)
    package = _PACKAGES.get(kind)
    if package is not None and find_spec(package) is None:
        raise ConfigError(f"{location}: a {kind} table needs {package}: pip install 'mlhealth[{kind}]'")
    reader = import_module(f"mlhealth.backfill.tables.{kind}")
    try:
        found: tuple[Piece, ...] = reader.pieces(location)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{location}: cannot be read as {kind}: {str(error).splitlines()[0]}") from None
    if not sum(piece.rows for piece in found):
        raise DataError(f"{location}: there are no rows")
    return found


def kind_at(location: str) -> TableFormat:
    """Return the kind of table that a local folder looks like; Parquet where nothing tells otherwise.

    >>> kind_at("s3://lake/logs/metadata/00012.metadata.json")
    <TableFormat.ICEBERG: 'iceberg'>
    """
    folder = Path(location)
    if (folder / "_delta_log").is_dir():
        return TableFormat.DELTA
    if location.endswith(".metadata.json") or any(folder.glob("metadata/*.metadata.json")):
        return TableFormat.ICEBERG
    return TableFormat.PARQUET
