"""Receivers of notifications: one protocol per file."""
