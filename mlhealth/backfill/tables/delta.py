"""A Delta table, as of its newest version."""

from __future__ import annotations

from mlhealth.backfill.tables.base import Piece, fragment_pieces


def pieces(location: str) -> tuple[Piece, ...]:
    """Return the row groups of the files that the table's log names, those removed from it left out."""
    from deltalake import DeltaTable

    return fragment_pieces(DeltaTable(location).to_pyarrow_dataset())
