"""A file as a log of rows: lines of NDJSON that may still grow, or the rows of a Parquet or Arrow file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from mlhealth.events.bodies import ARROW, JSON

LINES = (".ndjson", ".jsonl", ".json")
PARQUET = (".parquet",)
ARROWS = (".arrow", ".feather", ".arrows")
SUFFIXES = (*LINES, *PARQUET, *ARROWS)
"""What a folder is searched for."""
_STEP = 4 * 1024 * 1024
_ROWS = 10_000


@dataclass(frozen=True)
class Rows:
    """Consecutive rows as one message, from row `first` up to before `next`."""

    first: int
    next: int
    body: bytes


class FileLog(ABC):
    """The rows of one file, numbered from 0."""

    format: str

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def written(self) -> int:
        """When the file was last written, in milliseconds."""
        return int(self.path.stat().st_mtime * 1000)

    @abstractmethod
    def end(self) -> int:
        """Return how many rows the file has now."""

    @abstractmethod
    def read(self, row: int) -> Rows | None:
        """Return some rows from `row` on, None where there are none."""


class LineLog(FileLog):
    """Lines of JSON; a last line without an end is a row once it is a whole object."""

    format = JSON

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._at = (0, 0)  # a row, and the byte at which it begins
        self._counted = (-1, 0)  # a size, and the rows up to there

    def end(self) -> int:
        size = self.path.stat().st_size
        if size != self._counted[0]:
            self._counted = (size, self._count())
        return self._counted[1]

    def read(self, row: int) -> Rows | None:
        with self.path.open("rb") as file:
            at = self._begin(file, row)
            body = _whole_lines(part := file.read(_STEP))
            while not body and (more := file.read(_STEP)):  # a line longer than a step
                body = _whole_lines(part := part + more)
        if not body:
            return None
        is_ended = body.endswith(b"\n")
        rows = body.count(b"\n") + (not is_ended)
        self._at = (row + rows, at + len(body)) if is_ended else (0, 0)
        return Rows(row, row + rows, body.removesuffix(b"\n"))

    def _begin(self, file: IO[bytes], row: int) -> int:
        """Go to where a row begins, from where the last one read ended if that is not too far."""
        number, at = self._at if self._at[0] <= row else (0, 0)
        file.seek(at)
        for _ in range(row - number):
            file.readline()
        return file.tell()

    def _count(self) -> int:
        rows, last = 0, b""
        with self.path.open("rb") as file:
            while part := file.read(_STEP):
                rows += part.count(b"\n")
                last = (last + part).rpartition(b"\n")[2]
        return rows + _is_object(last)


class TableLog(FileLog):
    """A Parquet or Arrow file; one that cannot be read is a single row that cannot be used."""

    format = ARROW

    def end(self) -> int:
        try:
            if self.path.suffix in PARQUET:
                return int(pq.ParquetFile(self.path).metadata.num_rows)
            return int(self._table().num_rows)
        except (pa.ArrowException, OSError):
            return 1

    def read(self, row: int) -> Rows | None:
        try:
            table = self._table().slice(row, _ROWS)
        except (pa.ArrowException, OSError):
            return Rows(0, 1, b"") if row == 0 else None
        if table.num_rows == 0:
            return None
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return Rows(row, row + table.num_rows, sink.getvalue().to_pybytes())

    def _table(self) -> pa.Table:
        if self.path.suffix in PARQUET:
            return pq.read_table(self.path, use_threads=False, partitioning=None)
        with pa.memory_map(str(self.path)) as source:
            try:
                return pa.ipc.open_file(source).read_all()
            except pa.ArrowInvalid:
                return pa.ipc.open_stream(source).read_all()


def open_log(path: Path) -> FileLog:
    """Return a file as a log, by its suffix."""
    return LineLog(path) if path.suffix in LINES else TableLog(path)


def _whole_lines(part: bytes) -> bytes:
    """Return the part up to its last whole line."""
    cut = part.rfind(b"\n") + 1
    return part if _is_object(part[cut:]) else part[:cut]


def _is_object(line: bytes) -> bool:
    if not line.rstrip().endswith(b"}"):
        return False
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
