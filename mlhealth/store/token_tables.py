"""The table of access tokens."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Table, Text

from mlhealth.store.tables import key, metadata

tokens = Table(
    "tokens",
    metadata,
    key("id"),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("models", JSON, nullable=False, server_default="[]"),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
)
"""Access tokens: a sha256 of each, never its text. `scopes`: names separated by a space. `models`: prefixes of
model names, none for all. All times are wall times."""
