"""Tables of what people say about pages, and of baselines that await a person's approval."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Table, Text

from mlhealth.store.tables import key, metadata

page_feedback = Table(
    "page_feedback",
    metadata,
    key("fingerprint"),
    Column("fired_at", BigInteger, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "model", "fired_at"),
)
"""What a person said of one firing: useful, or why it was not. The last word on a firing counts."""

baseline_proposals = Table(
    "baseline_proposals",
    metadata,
    key("hash"),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("against", Text),
    Column("state", Text, nullable=False),
    Column("comparison", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", BigInteger),
    Index(None, "model", "state"),
)
"""Baselines that someone proposes in place of the active one (`against`). `state`: proposed, approved or rejected."""
