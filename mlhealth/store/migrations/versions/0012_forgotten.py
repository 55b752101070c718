"""Keys of events that were forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step up."""
    op.create_table(
        "forgotten",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("event", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "event", name=op.f("pk_forgotten")),
    )


def downgrade() -> None:
    """Go one step back."""
    op.drop_table("forgotten")
