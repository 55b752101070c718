"""Markers of a model's history, workers' signs of life, and what a retraining came to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step up."""
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "markers",
        sa.Column("id", serial, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_markers")),
    )
    op.create_index(op.f("ix_markers_model_at"), "markers", ["model", "at"])
    op.create_table(
        "heartbeats",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("partitions", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("pk_heartbeats")),
    )
    op.add_column("retraining_requests", sa.Column("time_to_recovery", sa.BigInteger()))
    op.add_column("retraining_requests", sa.Column("action", sa.Text()))


def downgrade() -> None:
    """Go one step back."""
    op.drop_column("retraining_requests", "action")
    op.drop_column("retraining_requests", "time_to_recovery")
    op.drop_table("heartbeats")
    op.drop_index(op.f("ix_markers_model_at"), "markers")
    op.drop_table("markers")
