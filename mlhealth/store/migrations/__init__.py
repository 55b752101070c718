"""The store's schema, step by step (Alembic)."""

from __future__ import annotations
