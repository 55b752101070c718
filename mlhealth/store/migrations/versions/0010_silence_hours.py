"""Hours of the week in which alone a silence is in force."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step up."""
    op.add_column("silences", sa.Column("hours", sa.Text()))


def downgrade() -> None:
    """Go one step back."""
    op.drop_column("silences", "hours")
