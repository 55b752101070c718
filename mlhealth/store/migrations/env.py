"""Run by Alembic: the connection is handed over by `mlhealth.store.schema`."""

from __future__ import annotations

from alembic import context

from mlhealth.store.schema import all_tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=all_tables())
with context.begin_transaction():
    context.run_migrations()
