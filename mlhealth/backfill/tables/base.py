"""What a backfill needs of a table: its pieces, in a fixed order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Piece(ABC):
    """Some rows of a table, picklable. `name` tells people where they lie.

    `rows`: how many, deleted ones included. `first`: the number of its first row in the whole table.
    """

    name: str
    rows: int
    first: int

    @property
    @abstractmethod
    def identity(self) -> str:
        """What tells this piece from one with other contents."""

    @abstractmethod
    def read(self, columns: Collection[str]) -> pa.Table:
        """Return the rows, with those of `columns` that the table has. Raises OSError or pyarrow's errors."""


@dataclass(frozen=True)
class FragmentPiece(Piece):
    """Row groups of a Parquet file, read with the columns and types of the whole dataset."""

    fragment: Any
    schema: pa.Schema

    @property
    def identity(self) -> str:
        """Name, row groups and their sizes."""
        groups = [(g.id, g.num_rows, g.total_byte_size) for g in self.fragment.row_groups]
        return f"{self.name} {groups}"

    def read(self, columns: Collection[str]) -> pa.Table:
        """Return the rows."""
        wanted = [name for name in self.schema.names if name in columns]
        return self.fragment.to_table(schema=self.schema, columns=wanted)


def fragment_pieces(dataset: Any) -> tuple[Piece, ...]:
    """Return the row groups of a pyarrow dataset, in order of their files' names."""
    pieces: list[Piece] = []
    first = 0
    for fragment in sorted(dataset.get_fragments(), key=lambda f: f.path):
        for part in fragment.split_by_row_group():
            rows = sum(group.num_rows for group in part.row_groups)
            pieces.append(FragmentPiece(fragment.path, rows, first, part, dataset.schema))
            first += rows
    return tuple(pieces)
