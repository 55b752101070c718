"""The HTTP inbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step up."""
    op.create_table(
        "inbox_partitions",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("first_offset", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_offset", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reader", sa.Text(), server_default="", nullable=False),
        sa.Column("lease", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("partition", name=op.f("pk_inbox_partitions")),
    )
    op.create_table(
        "inbox",
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=True),
        sa.Column("written", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("partition", "offset", name=op.f("pk_inbox")),
    )
    op.create_index(op.f("ix_inbox_reason_written"), "inbox", ["reason", "written"])
    op.create_table(
        "inbox_readers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lease", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_inbox_readers")),
    )
    op.create_table(
        "inbox_requests",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_inbox_requests")),
    )
    op.create_index(op.f("ix_inbox_requests_created"), "inbox_requests", ["created"])


def downgrade() -> None:
    """Go one step down."""
    op.drop_index(op.f("ix_inbox_requests_created"), table_name="inbox_requests")
    op.drop_table("inbox_requests")
    op.drop_table("inbox_readers")
    op.drop_index(op.f("ix_inbox_reason_written"), table_name="inbox")
    op.drop_table("inbox")
    op.drop_table("inbox_partitions")
