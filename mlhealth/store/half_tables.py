"""The table of requests and responses that wait for each other."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from mlhealth.store.tables import metadata

pending_halves = Table(
    "pending_halves",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("written", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""Halves whose other half had not come at the last checkpoint, by where each lies."""
