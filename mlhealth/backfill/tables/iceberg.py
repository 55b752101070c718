"""An Iceberg table, as of its current snapshot."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlhealth.backfill.tables.base import Piece
from mlhealth.errors import DataError


@dataclass(frozen=True)
class ScanPiece(Piece):
    """A data file with what was deleted from it; columns by their ids, whatever they were once called."""

    metadata: Any
    io: Any
    task: Any

    @property
    def identity(self) -> str:
        """The file's path (files are never rewritten) and those of its deletes."""
        deletes = sorted(d.file_path for d in self.task.delete_files)
        return f"{self.name} {self.rows} {deletes}"

    def read(self, columns: Collection[str]) -> pa.Table:
        """Return the rows."""
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan

        schema = self.metadata.schema()
        wanted = schema.select(*(name for name in schema.column_names if name in columns))
        return ArrowScan(self.metadata, self.io, wanted, AlwaysTrue()).to_table([self.task])


def pieces(location: str) -> tuple[Piece, ...]:
    """Return the data files of a table, given by its metadata file or by its folder."""
    from pyiceberg.table import StaticTable

    table = StaticTable.from_metadata(_metadata_file(location))
    found: list[Piece] = []
    first = 0
    for task in sorted(table.scan().plan_files(), key=lambda t: t.file.file_path):
        rows = task.file.record_count
        found.append(ScanPiece(task.file.file_path, rows, first, table.metadata, table.io, task))
        first += rows
    return tuple(found)


def _metadata_file(location: str) -> str:
    if location.endswith(".metadata.json"):
        return location
    files = sorted(Path(location, "metadata").glob("*.metadata.json"), key=lambda p: p.stat().st_mtime_ns)
    if not files:
        raise DataError(f"{location}: there is no metadata/*.metadata.json; give the table's metadata file")
    return str(files[-1])
