"""Labels, what was drawn for labelling, and how estimates compared with them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step up."""
    op.create_table(
        "labels",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", "event", name=op.f("pk_labels")),
    )
    op.create_index(op.f("ix_labels_created"), "labels", ["created"])
    op.create_index(op.f("ix_labels_model_change"), "labels", ["model", "change"])
    op.create_table(
        "label_heads",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_label_heads")),
    )
    op.create_table(
        "label_progress",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("considered", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", name=op.f("pk_label_progress")),
    )
    op.create_table(
        "label_draws",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("events", sa.LargeBinary(), nullable=False),
        sa.Column("probabilities", sa.LargeBinary(), nullable=False),
        sa.Column("chosen", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", "start", "number", name=op.f("pk_label_draws")),
    )
    op.create_table(
        "comparisons",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("baseline", sa.Text(), nullable=False),
        sa.Column("labelled", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Float(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("lower", sa.Float(), nullable=True),
        sa.Column("upper", sa.Float(), nullable=True),
        sa.Column("realized", sa.Float(), nullable=False),
        sa.Column("realized_lower", sa.Float(), nullable=False),
        sa.Column("realized_upper", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint(
            "model", "version", "segment", "start", "metric", name=op.f("pk_comparisons")
        ),
    )


def downgrade() -> None:
    """Go one step down."""
    op.drop_table("comparisons")
    op.drop_table("label_draws")
    op.drop_table("label_progress")
    op.drop_table("label_heads")
    op.drop_table("labels")
