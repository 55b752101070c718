"""The table of old windows, merged into days."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table

from mlhealth.store.tables import key, metadata

day_profiles = Table(
    "day_profiles",
    metadata,
    key("model"),
    key("version"),
    key("segment"),
    Column("day", BigInteger, primary_key=True),
    key("baseline"),
    Column("windows", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("profile", LargeBinary, nullable=False),
)
"""The merged profiles of a day's windows (by start, UTC), without a sample; `windows`: how many were merged."""
