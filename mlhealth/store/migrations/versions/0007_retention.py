"""Old windows merged into days; on PostgreSQL, reports and profiles partitioned by the start of their window."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KEYS = {
    "reports": "model, version, segment, start, revision, baseline",
    "window_profiles": "model, version, segment, start, baseline",
}
_INDEX = "ix_reports_model_version_segment_latest_start"
_COLUMNS = "model, version, segment, latest, start"


def upgrade() -> None:
    """Go one step up."""
    op.create_table(
        "day_profiles",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("baseline", sa.Text(), nullable=False),
        sa.Column("windows", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("profile", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "model", "version", "segment", "day", "baseline", name=op.f("pk_day_profiles")
        ),
    )
    _rebuild(" PARTITION BY RANGE (start)")


def downgrade() -> None:
    """Go one step down; days that were merged are lost."""
    _rebuild("")
    op.drop_table("day_profiles")


def _rebuild(partitioned: str) -> None:
    """Make the two tables anew, partitioned or not, and move their rows."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, key in _KEYS.items():
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_before")
        op.execute(f"ALTER TABLE {table}_before RENAME CONSTRAINT pk_{table} TO pk_{table}_before")
        if table == "reports":
            op.execute(f"ALTER INDEX {_INDEX} RENAME TO {_INDEX}_before")
        op.execute(f"CREATE TABLE {table} (LIKE {table}_before INCLUDING DEFAULTS){partitioned}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({key})")
        if table == "reports":
            op.execute(f"CREATE INDEX {_INDEX} ON reports ({_COLUMNS})")
        if partitioned:
            op.execute(f"CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT")
        op.execute(f"INSERT INTO {table} SELECT * FROM {table}_before")  # noqa: S608 - our own tables' names
        op.execute(f"DROP TABLE {table}_before")
