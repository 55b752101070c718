"""An index of the few reports that late rows may still revise."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step up."""
    is_open = sa.text("latest AND NOT final")
    op.create_index(
        "ix_reports_open",
        "reports",
        ["model", "version", "start"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def downgrade() -> None:
    """Go one step back."""
    op.drop_index("ix_reports_open", "reports")
