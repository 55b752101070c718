"""Parquet files: one, or a folder of them, with folders named column=value or without."""

from __future__ import annotations

import pyarrow.dataset as ds

from mlhealth.backfill.tables.base import Piece, fragment_pieces


def pieces(location: str) -> tuple[Piece, ...]:
    """Return the row groups of a file or folder, by path or URI (s3://, gs://, hdfs://, file://)."""
    return fragment_pieces(ds.dataset(location, format="parquet", partitioning="hive"))
