"""Reports as compressed bytes on SQLite: new ones are written so, older ones are still read as the text they are."""

from __future__ import annotations

import zlib

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step up."""


def downgrade() -> None:
    """Go one step back."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    packed = sa.text("SELECT rowid, report FROM reports WHERE typeof(report) = 'blob' LIMIT 100")
    text = sa.text("UPDATE reports SET report = :text WHERE rowid = :row")
    while found := connection.execute(packed).all():
        connection.execute(
            text, [{"row": row, "text": zlib.decompress(blob).decode()} for row, blob in found]
        )
