"""Durable state behind one contract: SQLite by default, PostgreSQL to scale."""
