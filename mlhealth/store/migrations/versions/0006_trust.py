"""What people say of pages, and baselines that await approval."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step up."""
    op.create_table(
        "page_feedback",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("fired_at", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "fired_at", name=op.f("pk_page_feedback")),
    )
    op.create_index(op.f("ix_page_feedback_model_fired_at"), "page_feedback", ["model", "fired_at"])
    op.create_table(
        "baseline_proposals",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("against", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("comparison", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_baseline_proposals")),
    )
    op.create_index(op.f("ix_baseline_proposals_model_state"), "baseline_proposals", ["model", "state"])


def downgrade() -> None:
    """Go one step back."""
    op.drop_index(op.f("ix_baseline_proposals_model_state"), "baseline_proposals")
    op.drop_table("baseline_proposals")
    op.drop_index(op.f("ix_page_feedback_model_fired_at"), "page_feedback")
    op.drop_table("page_feedback")
