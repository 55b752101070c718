"""Tables of operating models: markers on their history, and the signs of life of workers."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Table, Text

from mlhealth.store.tables import Serial, key, metadata

markers = Table(
    "markers",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Index(None, "model", "at"),
)
"""What was done to a model's versions. `at`: the moment it speaks of; `created`: when the marker was made."""

heartbeats = Table(
    "heartbeats",
    metadata,
    key("worker"),
    Column("started", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("partitions", JSON, nullable=False),
)
"""Workers that have not ended in order. `beat`: when it last turned its loop and could write; `partitions`: what it
held then."""
